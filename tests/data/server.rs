//! A local web server that answers with whatever bytes it is given.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What was asked: the path and the first byte wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub path: String,
    pub from: Option<usize>,
}

/// An HTTP server on 127.0.0.1 that answers request `n` with the raw bytes that a function gives, then hangs up.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(answer: impl Fn(usize, &Request) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stopped) = (seen.clone(), stop.clone());
        let thread = thread::spawn(move || {
            for connection in listener.incoming().take(64) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let mut connection = connection.unwrap();
                if let Some(request) = read_request(&mut connection) {
                    let number = log.lock().unwrap().len();
                    log.lock().unwrap().push(request.clone());
                    let _ = connection.write_all(&answer(number, &request));
                }
            }
        });
        Self { address, seen, stop, thread: Some(thread) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub fn seen(&self) -> Vec<Option<usize>> {
        self.seen.lock().unwrap().iter().map(|request| request.from).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

fn read_request(connection: &mut TcpStream) -> Option<Request> {
    connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if connection.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let path = head.split(' ').nth(1)?.trim_start_matches('/').to_string();
    let from = head.split("range: bytes=").nth(1).and_then(|range| range.split('-').next()?.parse().ok());
    Some(Request { path, from })
}

/// `body` whole, or only its first `sent` bytes after a header that announces all.
pub fn whole(body: &[u8], sent: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), &body[..sent.min(body.len())]].concat()
}

/// `body` from `from` on, or only `sent` bytes of that.
pub fn rest(body: &[u8], from: usize, sent: usize) -> Vec<u8> {
    let (len, rest) = (body.len(), &body[from..]);
    let range = format!("Content-Range: bytes {from}-{}/{len}\r\nContent-Length: {}", len - 1, rest.len());
    let head = format!("HTTP/1.1 206 Partial Content\r\n{range}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), &rest[..sent.min(rest.len())]].concat()
}

pub fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}
