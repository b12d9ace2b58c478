use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use super::*;
use crate::io::{Waker, wait};

/// Listens in a folder of its own and answers `count` requests by `reply`.
fn answering(
    count: usize,
    reply: impl Fn(&Request) -> Response + Send + 'static,
) -> (tempfile::TempDir, thread::JoinHandle<()>) {
    let folder = tempfile::tempdir().unwrap();
    let waker = Waker::new().unwrap();
    let server = Server::listen(&folder.path().join("control"), waker.clone()).unwrap();
    let thread = thread::spawn(move || {
        let mut answered = 0;
        while answered < count {
            wait(&[waker.as_fd()], Some(Duration::from_secs(5))).unwrap();
            waker.reset();
            while let Some(call) = server.poll() {
                let response = reply(&call.request);
                call.answer(response);
                answered += 1;
            }
        }
    });
    (folder, thread)
}

#[test]
fn a_request_is_answered_by_the_gateway_thread() {
    let (folder, thread) = answering(2, |request| {
        if *request == Request::Status {
            Response::status(crate::status::tests::example())
        } else {
            Response::failed("no")
        }
    });
    let path = folder.path().join("control");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let response = ask(&path, &Request::Status).unwrap();
    assert_eq!(response.status, Some(crate::status::tests::example()));
    let response = ask(&path, &Request::Rekey { tunnel: "net".to_owned(), ike: true }).unwrap();
    assert_eq!((response.ok, response.error.as_deref()), (false, Some("no")));
    thread.join().unwrap();
    assert!(!path.exists(), "the socket goes with the server");
}

#[test]
fn nonsense_is_answered_and_the_connection_goes_on() {
    let (folder, thread) = answering(1, |_| Response::done());
    let stream = UnixStream::connect(folder.path().join("control")).unwrap();
    (&stream)
        .write_all(
            b"nonsense \xff\n{\"command\":\"up\",\"tunel\":\"net\"}\n{\"command\":\"up\",\"tunnel\":\"net\"}\n",
        )
        .unwrap();
    let lines: Vec<String> = BufReader::new(&stream).lines().take(3).map(Result::unwrap).collect();
    assert!(lines[0].contains("\"ok\":false") && lines[1].contains("tunel"), "{lines:?}");
    assert_eq!(lines[2], "{\"ok\":true}");
    thread.join().unwrap();
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_or_a_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = Server::listen(&path, Waker::new().unwrap()).unwrap();
    let error = Server::listen(&path, Waker::new().unwrap()).err().unwrap();
    assert!(error.to_string().contains("another gateway answers"), "{error}");
    drop(server);
    std::fs::write(&path, "precious").unwrap();
    let error = Server::listen(&path, Waker::new().unwrap()).err().unwrap();
    assert!(error.to_string().contains("is no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn asking_nobody_says_how_to_start_a_gateway() {
    let error = ask(std::path::Path::new("/nonexistent/control"), &Request::Status).unwrap_err();
    assert!(error.to_string().contains("ikebana up -c FILE"), "{error}");
}
