//! An unpickler that knows what tensors need, and runs no code.
//!
//! A pickle is a program that may call any function of Python. Here a few constructors are known and done by hand; every
//! other name stands for something [`Unknown`](Value::Unknown), and so does whatever is made of it. candle has an
//! unpickler too, but it copies an object each time the pickle refers back to it and nests boxes as deep as the file
//! says: a few hundred bytes can exhaust the memory or the stack. For what is made instead see
//! [`objects`](super::objects).

mod calls;

use anyhow::{Context, bail, ensure};

use crate::checkpoint::objects::{Arena, Object, Value};

/// What has come of a pickle.
pub struct Unpickled<'a> {
    pub objects: Arena<'a>,
    pub root: Value<'a>,
    /// What follows the pickle.
    pub rest: &'a [u8],
}

/// Runs the pickle's instructions, those of protocols 2 to 5. For what they mean see CPython's `pickletools.py`.
///
/// # Errors
/// On anything malformed, and on too many objects.
pub fn unpickle(pickle: &[u8]) -> anyhow::Result<Unpickled<'_>> {
    let mut machine = Machine { rest: pickle, ..Machine::default() };
    while !machine.step()? {}
    let root = machine.pop()?;
    Ok(Unpickled { objects: machine.objects, root, rest: machine.rest })
}

#[derive(Default)]
struct Machine<'a> {
    /// What is still to be run.
    rest: &'a [u8],
    objects: Arena<'a>,
    stack: Vec<Value<'a>>,
    /// The height of the stack at each open mark.
    marks: Vec<usize>,
    memo: Vec<Option<Value<'a>>>,
}

impl<'a> Machine<'a> {
    /// Runs one instruction; true at the end.
    fn step(&mut self) -> anyhow::Result<bool> {
        match self.byte()? {
            0x80 => ensure!((2..=5).contains(&self.byte()?), "its pickle is of an unknown protocol"),
            0x95 => drop(self.take(8)?), // FRAME: a hint for readers from a pipe
            b'.' => return Ok(true),

            b'(' => {
                self.objects.keep(1)?;
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'q' => self.remember_at(1)?,
            b'r' => self.remember_at(4)?,
            0x94 => self.remember(self.memo.len())?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,

            b'N' | 0x88 | 0x89 => self.push(Value::Inert)?, // None, True, False
            b'G' => {
                self.take(8)?;
                self.push(Value::Inert)?;
            }
            b'K' => self.push_integer(1)?,
            b'M' => self.push_integer(2)?,
            b'J' => {
                let bytes = self.array()?;
                self.push(Value::Integer(i32::from_le_bytes(bytes).into()))?;
            }
            0x8a => self.push_long(1)?,
            0x8b => self.push_long(4)?,
            0x8c | b'U' => self.push_text(1)?, // U and T: a str of Python 2
            b'X' | b'T' => self.push_text(4)?,
            0x8d => self.push_text(8)?,
            b'C' => self.push_bytes(1)?,
            b'B' => self.push_bytes(4)?,
            0x8e | 0x96 => self.push_bytes(8)?, // bytes, bytearray

            b')' => self.push_tuple(Vec::new())?,
            0x85 => self.push_short_tuple(1)?,
            0x86 => self.push_short_tuple(2)?,
            0x87 => self.push_short_tuple(3)?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_tuple(items)?;
            }
            b']' => self.push_object(Object::List { length: 0, items: Vec::new() })?,
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            b'}' => self.push_object(Object::Dict(Vec::new()))?,
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(&items)?;
            }
            0x8f => self.push(Value::Inert)?, // an empty set
            0x90 => {
                self.pop_to_mark()?;
                ensure!(matches!(self.top()?, Value::Inert | Value::Unknown(_)), "its pickle adds to what is no set");
            }
            0x91 => {
                self.pop_to_mark()?; // a frozenset
                self.push(Value::Inert)?;
            }

            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                let global = self.objects.global(module, name)?;
                self.push(global)?;
            }
            0x93 => {
                let (Value::Text(name), Value::Text(module)) = (self.pop()?, self.pop()?) else {
                    bail!("its pickle has something else where a text belongs")
                };
                let global = self.objects.global(module, name)?;
                self.push(global)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.objects.storage(id)?;
                self.push(storage)?;
            }
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.call(callable, arguments)?;
            }
            0x92 => {
                let (_keywords, arguments, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(callable, arguments)?;
            }
            // Attributes are for Python: a state dict carries its `_metadata` so. They are let go.
            b'b' => drop((self.pop()?, self.top()?)),
            other => bail!("its pickle has the instruction {other:#04x}, which torch.save never writes"),
        }
        Ok(false)
    }

    fn take(&mut self, length: usize) -> anyhow::Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).context("its pickle is truncated")?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> anyhow::Result<[u8; N]> {
        Ok(self.take(N)?.try_into()?)
    }

    fn byte(&mut self) -> anyhow::Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// A little-endian number of `width` bytes, at most eight.
    fn unsigned(&mut self, width: usize) -> anyhow::Result<usize> {
        let value = self.take(width)?.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        Ok(usize::try_from(value)?)
    }

    fn line(&mut self) -> anyhow::Result<&'a str> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').context("its pickle is truncated")?;
        let line = std::str::from_utf8(self.take(end)?).context("its pickle has a name that is not UTF-8")?;
        self.take(1)?;
        Ok(line)
    }

    fn push(&mut self, value: Value<'a>) -> anyhow::Result<()> {
        self.objects.keep(1)?;
        self.stack.push(value);
        Ok(())
    }

    fn push_object(&mut self, object: Object<'a>) -> anyhow::Result<()> {
        let value = self.objects.add(object)?;
        self.push(value)
    }

    fn push_integer(&mut self, width: usize) -> anyhow::Result<()> {
        let value = self.unsigned(width)?;
        self.push(Value::Integer(i64::try_from(value)?))
    }

    fn push_long(&mut self, width: usize) -> anyhow::Result<()> {
        let length = self.unsigned(width)?;
        let integer = signed(self.take(length)?);
        self.push(integer.map_or(Value::Inert, Value::Integer))
    }

    /// A text; one that is not UTF-8 names nothing that is read.
    fn push_text(&mut self, width: usize) -> anyhow::Result<()> {
        let length = self.unsigned(width)?;
        let text = std::str::from_utf8(self.take(length)?);
        self.push(text.map_or(Value::Inert, Value::Text))
    }

    fn push_bytes(&mut self, width: usize) -> anyhow::Result<()> {
        let length = self.unsigned(width)?;
        self.take(length)?;
        self.push(Value::Inert)
    }

    fn push_short_tuple(&mut self, length: usize) -> anyhow::Result<()> {
        let mut items = vec![Value::Inert; length];
        for item in items.iter_mut().rev() {
            *item = self.pop()?;
        }
        self.push_tuple(items)
    }

    fn push_tuple(&mut self, items: Vec<Value<'a>>) -> anyhow::Result<()> {
        let is_inert = |item: &Value| matches!(item, Value::Inert | Value::Unknown(_));
        match !items.is_empty() && items.iter().all(is_inert) {
            true => self.push(Value::Inert),
            false => self.push_object(Object::Tuple(items.into())),
        }
    }

    fn pop(&mut self) -> anyhow::Result<Value<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        ensure!(self.stack.len() > floor, "its pickle takes from an empty stack");
        self.objects.release(1);
        self.stack.pop().context("its pickle takes from an empty stack")
    }

    fn pop_to_mark(&mut self) -> anyhow::Result<Vec<Value<'a>>> {
        let mark = self.marks.pop().context("its pickle lacks a mark")?;
        let items = self.stack.split_off(mark);
        self.objects.release(items.len() + 1);
        Ok(items)
    }

    fn top(&self) -> anyhow::Result<Value<'a>> {
        self.stack.last().copied().context("its pickle takes from an empty stack")
    }

    fn remember_at(&mut self, width: usize) -> anyhow::Result<()> {
        let place = self.unsigned(width)?;
        self.remember(place)
    }

    /// Picklers number what they remember from 0 on.
    fn remember(&mut self, place: usize) -> anyhow::Result<()> {
        let top = self.top()?;
        if place >= self.memo.len() {
            self.objects.keep(place - self.memo.len() + 1)?;
            self.memo.resize(place + 1, None);
        }
        self.memo[place] = Some(top);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> anyhow::Result<()> {
        let place = self.unsigned(width)?;
        let value = self.memo.get(place).copied().flatten();
        self.push(value.context("its pickle refers to an object that it has not made")?)
    }
}

/// A little-endian number in two's complement; `None` past eight bytes.
fn signed(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut value = if negative { [0xFF; 8] } else { [0; 8] };
    value.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(value))
}
