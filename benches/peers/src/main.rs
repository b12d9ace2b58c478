//! How fast is our whole ESP operation beside the bare cipher jobs of other libraries?
//!
//! Ours frames, pads, numbers, draws IVs, seals, and on opening also checks the ICV, the padding and the replay
//! window. The others only encrypt and authenticate the same octets with prepared keys. Everybody is measured in
//! turns in one process, so that the ratios hold whatever the clock does meanwhile.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads clocks and starts threads")]

mod clock;
mod contender;
mod cores;
#[cfg(feature = "peer-ipsec-mb")]
mod ipsec_mb;
mod measure;
mod one_by_one;
mod ours;
mod plot;
mod report;
mod workload;

use std::process::ExitCode;
use std::time::Duration;

use measure::Operation;
use report::{Report, Style, replace_section};
use workload::{ROUND, Sizes, Suite, Workload};

const USAGE: &str = "usage: esp-peers [OPTION]...

  --milliseconds N   what each contender gets for each line of the table (40)
  --suite KEYWORDS   only this suite; may be repeated
  --markdown FILE    puts the tables between the marks in FILE, too; may be repeated
  --plot FILE        draws throughput against packet size, as SVG
  --cores            measures one SA on two cores instead; without it, pin the process to a core
  --count WHAT N     seals (or opens) N rounds of 32 packets, and nothing else, for a tool that counts instructions;
                     WHAT is whole-seal, whole-open, bare-seal or bare-open
";

/// What was asked for.
struct Options {
    budget: Duration,
    suites: Vec<Suite>,
    markdown: Vec<String>,
    plot: Option<String>,
    cores: bool,
    count: Option<(String, usize)>,
}

fn main() -> ExitCode {
    let outcome = options(std::env::args().skip(1)).and_then(|options| match &options.count {
        Some((what, rounds)) => count(&options, what, *rounds),
        None => run(&options),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("esp-peers: {message}");
            ExitCode::from(2)
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let budget = Duration::from_millis(40);
    let mut options =
        Options { budget, suites: vec![], markdown: vec![], plot: None, cores: false, count: None };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} lacks a value\n\n{USAGE}"));
        let whole = |text: String| text.parse().map_err(|_| format!("{text:?} is not a whole number"));
        match &*argument {
            "--milliseconds" => options.budget = Duration::from_millis(whole(value()?)?),
            "--suite" => {
                let keywords = value()?;
                let suite = Suite::ALL.into_iter().find(|suite| suite.keywords() == keywords);
                options.suites.push(suite.ok_or(format!("{keywords:?} is not among the measured suites"))?);
            }
            "--markdown" => options.markdown.push(value()?),
            "--plot" => options.plot = Some(value()?),
            "--cores" => options.cores = true,
            "--count" => {
                let what = value()?;
                options.count = Some((what, usize::try_from(whole(value()?)?).unwrap_or(0)));
            }
            _ => return Err(USAGE.into()),
        }
    }
    if options.suites.is_empty() {
        options.suites = Suite::ALL.to_vec();
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    println!("{}\n", report::machine());
    let mut report = Report::default();
    let suites = options.suites.iter().copied();
    if options.cores {
        for suite in suites.filter(|suite| cores::SUITES.contains(suite)) {
            report.scalings.extend(cores::measure(suite, options.budget * 50));
        }
        println!("{}", report.cores(Style::Terminal));
    } else {
        for suite in suites {
            measure_suite(&mut report, suite, options.budget);
            print!("{}", report.suite(suite, Style::Terminal));
        }
        println!("at a glance\n{}", report.summary(Style::Terminal));
        println!("times as fast as the bare cipher job\n{}", report.goals(Style::Terminal));
    }
    for file in &options.markdown {
        write_markdown(&report, options, file)?;
    }
    if let Some(file) = options.plot.as_ref().filter(|_| !options.cores) {
        let measurements: Vec<_> = plot::SUITES.into_iter().flat_map(|suite| line(suite, options)).collect();
        std::fs::write(file, plot::svg(&measurements)).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

fn measure_suite(report: &mut Report, suite: Suite, budget: Duration) {
    let sizes = [64, 576, 1408, 8192].map(Sizes::All);
    let one_sa = sizes.map(|sizes| (sizes, false, &[1, 8, 32][..]));
    let more =
        [(Sizes::Mix, false, &[32][..]), (Sizes::All(64), true, &[32]), (Sizes::All(1408), true, &[32])];
    for (sizes, many_sas, batches) in one_sa.into_iter().chain(more) {
        let workload = Workload::new(suite, sizes, many_sas);
        let mut contenders = measure::contenders(&workload);
        for operation in Operation::ALL {
            for &batch in batches {
                let what = (operation, batch);
                report.measurements.push(measure::measure(&workload, &mut contenders, what, budget));
            }
        }
    }
}

/// A suite's lines in the plot.
fn line(suite: Suite, options: &Options) -> impl Iterator<Item = measure::Measurement> {
    let budget = options.budget;
    plot::SIZES.into_iter().map(move |size| {
        let workload = Workload::new(suite, Sizes::All(size), false);
        let mut contenders = measure::contenders(&workload);
        measure::measure(&workload, &mut contenders, (Operation::Seal, ROUND), budget)
    })
}

fn write_markdown(report: &Report, options: &Options, file: &str) -> Result<(), String> {
    let mut text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let sections = if options.cores {
        vec![("cores", report.cores(Style::Markdown))]
    } else {
        let suites = options.suites.iter().map(|&suite| report.suite(suite, Style::Markdown));
        vec![
            ("machine", report::machine()),
            ("goals", report.goals(Style::Markdown)),
            ("summary", report.summary(Style::Markdown)),
            ("suites", suites.collect()),
        ]
    };
    for (section, content) in sections {
        replace_section(&mut text, section, &content);
    }
    std::fs::write(file, text).map_err(|error| format!("{file}: {error}"))
}

/// Does the work and measures nothing.
fn count(options: &Options, what: &str, rounds: usize) -> Result<(), String> {
    let suite = options.suites.first().copied().unwrap_or(Suite::Aes128Gcm);
    let workload = Workload::new(suite, Sizes::All(64), false);
    let (who, operation) = what.split_once('-').unwrap_or_default();
    let mut contender: Box<dyn contender::Contender> = match who {
        "whole" => Box::new(ours::Whole::new(&workload)),
        "bare" => Box::new(ours::Bare::new(&workload)),
        _ => return Err(USAGE.into()),
    };
    contender.packets().load(&workload.plain);
    for _ in 0..rounds {
        contender.seal(ROUND);
        if operation == "open" {
            contender.open(ROUND);
        }
    }
    Ok(())
}
