//! The requests of a download, by HTTP.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Result;
use ureq::Agent;
use ureq::http::{HeaderMap, StatusCode, header};

use super::{Download, Downloader};
use crate::data::OnBytes;
use crate::data::claim::Claim;
use crate::error::Error;

/// A connection that brings so few bytes before it breaks would take this many tries: then the mirror is given up.
const MAX_TRIES: u32 = 200;

/// Why a transfer ended early.
enum Halt {
    /// Another try may do better.
    Passing(String),
    /// The mirror will say the same again.
    Lasting(String),
}

impl Downloader {
    /// Brings `download` from the first of `urls` that has it.
    ///
    /// The inner error is one reason a URL: nothing was kept but perhaps a part to go on from, and where no byte arrived
    /// no folder that was not there before. The outer error is [`Error::Storage`]: the place cannot be written.
    pub fn fetch(&self, download: &Download, urls: &[String], on_bytes: OnBytes) -> Result<Result<(), Vec<String>>> {
        let _claim = Claim::take(download.path.parent().unwrap_or(Path::new(".")))?;
        if download.path.is_file() {
            return Ok(Ok(())); // Another process brought it while this one waited.
        }
        let part = part_of(download.path);
        let outcome = self.ask_mirrors(urls, download, &part, on_bytes);
        if part.is_file() && size_of(&part) == 0 {
            let _ = fs::remove_file(&part);
        }
        outcome
    }

    fn ask_mirrors(
        &self,
        urls: &[String],
        download: &Download,
        part: &Path,
        on_bytes: OnBytes,
    ) -> Result<Result<(), Vec<String>>> {
        let agent = self.agent();
        let mut reasons = Vec::new();
        for url in urls {
            match self.ask_mirror(&agent, url, download, part, on_bytes)? {
                Ok(()) => {
                    fs::rename(part, download.path).map_err(|error| Error::writing(download.path, error))?;
                    return Ok(Ok(()));
                }
                Err(reason) => reasons.push(format!("{url}: {reason}")),
            }
        }
        Ok(Err(reasons))
    }

    fn agent(&self) -> Agent {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Packed in transit, the bytes would not be those that a Range request counts.
            .accept_encoding("identity")
            .user_agent(concat!("gan/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(self.stall))
            .timeout_connect(Some(self.stall))
            .timeout_recv_response(Some(self.stall))
            .timeout_per_read(Some(self.stall));
        if self.proxies { config.build().new_agent() } else { config.proxy(None).build().new_agent() }
    }

    fn ask_mirror(
        &self,
        agent: &Agent,
        url: &str,
        download: &Download,
        part: &Path,
        on_bytes: OnBytes,
    ) -> Result<Result<(), String>> {
        let mut farthest = size_of(part);
        let mut failures = 0; // in a row, without a new byte
        for _ in 0..MAX_TRIES {
            let resumed = size_of(part) > 0;
            let reason = match transfer(agent, url, download, part, on_bytes)? {
                Ok(()) => match (download.check)(part) {
                    Ok(()) => return Ok(Ok(())),
                    Err(reason) => {
                        fs::remove_file(part).map_err(|error| Error::writing(part, error))?;
                        farthest = 0;
                        // The bytes from before may be to blame: then once more, from the beginning.
                        if !resumed {
                            return Ok(Err(reason));
                        }
                        reason
                    }
                },
                Err(Halt::Lasting(reason)) => return Ok(Err(reason)),
                Err(Halt::Passing(reason)) => reason,
            };
            if size_of(part) > farthest {
                (farthest, failures) = (size_of(part), 0);
            } else {
                failures += 1;
                if failures >= self.tries {
                    return Ok(Err(reason));
                }
            }
            thread::sleep(self.pause * 2u32.pow(failures.saturating_sub(1).min(6)));
        }
        Ok(Err(format!("the connection broke {MAX_TRIES} times")))
    }
}

/// One request, to the end of its answer, appended to `part` where the server can go on from there.
fn transfer(agent: &Agent, url: &str, download: &Download, part: &Path, on_bytes: OnBytes) -> Result<Result<(), Halt>> {
    let before = size_of(part);
    let mut request = agent.get(url);
    if before > 0 {
        request = request.header(header::RANGE, format!("bytes={before}-"));
    }
    let mut response = match request.call() {
        Ok(response) => response,
        Err(error) => return Ok(Err(Halt::Passing(error.to_string()))),
    };
    let status = response.status();
    let begin = match status {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT if before > 0 && range_begin(response.headers()) == Some(before) => before,
        // Nothing lies beyond what is here: it may be all, which the checksum tells.
        StatusCode::RANGE_NOT_SATISFIABLE if before > 0 => return Ok(Ok(())),
        StatusCode::PARTIAL_CONTENT => {
            fs::remove_file(part).map_err(|error| Error::writing(part, error))?;
            return Ok(Err(Halt::Passing("it answered with another range than was asked for".to_string())));
        }
        status => {
            let reason = format!("HTTP status {status}");
            let passing = status.is_server_error()
                || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
            return Ok(Err(if passing { Halt::Passing(reason) } else { Halt::Lasting(reason) }));
        }
    };
    let total = response.body().content_length().map(|length| begin + length);
    // gzip adds at most a few bytes in a thousand to what it cannot shrink.
    let limit = download.bytes + download.bytes / 100 + 65_536;
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .append(begin > 0)
        .truncate(begin == 0)
        .open(part)
        .map_err(|error| Error::writing(part, error))?;
    let mut body = response.body_mut().as_reader();
    let (mut arrived, mut buffer) = (begin, vec![0; 1 << 16]);
    on_bytes(download.name, arrived, total);
    let outcome = loop {
        match body.read(&mut buffer) {
            Ok(0) if total.is_some_and(|total| arrived < total) => {
                break Err(Halt::Passing(format!("the connection broke after {arrived} bytes")));
            }
            Ok(0) => break Ok(()),
            Ok(read) => {
                arrived += read as u64;
                if arrived > limit {
                    fs::remove_file(part).map_err(|error| Error::writing(part, error))?;
                    return Ok(Err(Halt::Lasting(format!("it sent more than {limit} bytes"))));
                }
                file.write_all(&buffer[..read]).map_err(|error| Error::writing(part, error))?;
                on_bytes(download.name, arrived, total);
            }
            Err(error) => break Err(Halt::Passing(format!("after {arrived} bytes: {error}"))),
        }
    };
    // On disk before it gets its final name, so that a crash leaves a whole file or none.
    file.sync_all().map_err(|error| Error::writing(part, error))?;
    Ok(outcome)
}

/// Where the bytes of a partial answer begin: `Content-Range: bytes BEGIN-END/TOTAL`.
fn range_begin(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?;
    range.split('-').next()?.trim().parse().ok()
}

fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_os_string();
    part.push(".part");
    PathBuf::from(part)
}

/// 0 where there is no such file.
fn size_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
