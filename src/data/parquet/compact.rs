//! Thrift's compact protocol, in which the footer and the page headers of a parquet file are written.

/// The deepest structure that is looked into; the crate gives up sooner.
const MAX_DEPTH: usize = 64;

// Types of the compact protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
pub const STRUCT: u8 = 12;
const UUID: u8 = 13;

/// Goes through what is written in it as the crate does.
pub struct Walk<'a> {
    rest: &'a [u8],
    /// Values of lists and maps so far.
    claimed: usize,
    most: usize,
}

impl<'a> Walk<'a> {
    /// Through `bytes`, in which lists and maps may claim `most` values together.
    pub fn new(bytes: &'a [u8], most: usize) -> Self {
        Self { rest: bytes, claimed: 0, most }
    }

    /// Whether lists and maps have claimed no more values than they may.
    pub fn is_within(&self) -> bool {
        self.claimed <= self.most
    }

    /// The number of bytes that are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Steps over a value of this type; `None` where that cannot be done.
    pub fn skip(&mut self, kind: u8) -> Option<()> {
        self.skip_within(kind, 0)
    }

    /// Goes through a structure: `take` gets the number of each field and its type, and reads or skips it. `None` where that
    /// cannot be done.
    pub fn structure(&mut self, mut take: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut field = 0;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            field = match i64::from(head >> 4) {
                0 => self.integer()?,
                step => field + step,
            };
            take(self, field, head & 15)?;
        }
    }

    /// A number with a sign.
    pub fn integer(&mut self) -> Option<i64> {
        let number = self.number()? as u64;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    fn number(&mut self) -> Option<usize> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number as usize);
            }
        }
        None
    }

    /// Counts values; `None` once there are too many.
    fn claim(&mut self, values: usize) -> Option<()> {
        self.claimed = self.claimed.saturating_add(values);
        (self.claimed <= self.most).then_some(())
    }

    fn skip_within(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            _ if depth > MAX_DEPTH => None,
            TRUE | FALSE => Some(()),
            BYTE => self.bytes(1),
            I16..=I64 => self.number().map(|_| ()),
            DOUBLE => self.bytes(8),
            BINARY => {
                let count = self.number()?;
                self.bytes(count)
            }
            LIST | SET => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.number()? } else { usize::from(head >> 4) };
                self.claim(count)?;
                (0..count).try_for_each(|_| self.skip_within(head & 15, depth + 1))
            }
            MAP => {
                let count = self.number()?;
                self.claim(count)?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (0..count).try_for_each(|_| {
                    self.skip_within(kinds >> 4, depth + 1)?;
                    self.skip_within(kinds & 15, depth + 1)
                })
            }
            STRUCT => loop {
                let head = self.byte()?;
                if head == 0 {
                    return Some(());
                }
                if head >> 4 == 0 {
                    self.number()?; // the field's number, which else is one more than the last
                }
                self.skip_within(head & 15, depth + 1)?;
            },
            UUID => self.bytes(16),
            _ => None,
        }
    }
}
