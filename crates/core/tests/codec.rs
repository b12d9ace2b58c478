//! The reader and the writer under random use.

use ikebana_core::{Reader, Writer};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    U8,
    U16,
    U32,
    U64,
    Array,
    Take(usize),
    Sub(usize),
    Rest,
}

fn step() -> impl Strategy<Value = Step> {
    let count = || prop_oneof![0_usize..20, Just(usize::MAX), Just(usize::MAX / 2)];
    prop_oneof![
        Just(Step::U8),
        Just(Step::U16),
        Just(Step::U32),
        Just(Step::U64),
        Just(Step::Array),
        count().prop_map(Step::Take),
        count().prop_map(Step::Sub),
        Just(Step::Rest),
    ]
}

proptest! {
    #[test]
    fn a_reader_gives_out_every_octet_once_and_never_panics(
        octets in vec(any::<u8>(), 0..80),
        steps in vec(step(), 0..30),
    ) {
        let mut reader = Reader::new(&octets);
        let mut seen = Vec::new();
        for step in steps {
            let before = reader.remaining();
            let part: Result<Vec<u8>, _> = match step {
                Step::U8 => reader.u8("field").map(|value| vec![value]),
                Step::U16 => reader.u16("field").map(|value| value.to_be_bytes().to_vec()),
                Step::U32 => reader.u32("field").map(|value| value.to_be_bytes().to_vec()),
                Step::U64 => reader.u64("field").map(|value| value.to_be_bytes().to_vec()),
                Step::Array => reader.array::<5>("field").map(|value| value.to_vec()),
                Step::Take(count) => reader.take("field", count).map(<[u8]>::to_vec),
                Step::Sub(count) => reader.sub("field", count).map(|mut sub| sub.rest().to_vec()),
                Step::Rest => Ok(reader.rest().to_vec()),
            };
            match part {
                Ok(part) => seen.extend(part),
                Err(error) => {
                    prop_assert_eq!(error.field, "field");
                    prop_assert_eq!(reader.remaining(), before, "an error consumes nothing");
                }
            }
            prop_assert_eq!(seen.len() + reader.remaining(), octets.len());
        }
        seen.extend(reader.rest());
        prop_assert_eq!(seen, octets);
    }

    #[test]
    fn nested_lengths_read_back_as_they_were_written(parts in vec(vec(any::<u8>(), 0..300), 0..10)) {
        let mut writer = Writer::new();
        for part in &parts {
            writer.u16(0x2100);
            writer.nested_u16("part", 2, |writer| writer.bytes(part));
        }
        let message = writer.finish().expect("short enough");
        let mut reader = Reader::new(&message);
        for part in &parts {
            prop_assert_eq!(reader.u16("header"), Ok(0x2100));
            let length = usize::from(reader.u16("length").expect("it was written"));
            prop_assert_eq!(reader.take("part", length - 4), Ok(part.as_slice()));
        }
        prop_assert_eq!(reader.finish("message"), Ok(()));
    }
}
