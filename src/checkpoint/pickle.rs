//! An unpickler that knows what a state dict needs and nothing else. It runs no code.
//!
//! A pickle is a program that may call any function of Python. Here five callables are known, each is a constructor
//! done by hand, and every other name is refused with its name. candle has an unpickler too, but it copies an object each
//! time the pickle refers back to it and nests boxes as deep as the file says: a few hundred bytes can exhaust the
//! memory or the stack. For what is made instead see [`objects`](super::objects).

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};

use super::objects::{Arena, Callable, Handle, Object, global};

/// Runs the pickle's instructions: all objects, and which of them is the result. For what they mean see CPython's `pickletools.py`.
///
/// # Errors
/// On any name that a state dict does not need, on anything malformed, and on too many objects.
pub fn unpickle(pickle: &[u8]) -> anyhow::Result<(Arena<'_>, Handle)> {
    let mut machine = Machine { rest: pickle, ..Machine::default() };
    while !machine.step()? {}
    let root = machine.pop()?;
    Ok((machine.objects, root))
}

#[derive(Default)]
struct Machine<'a> {
    /// What is still to be run.
    rest: &'a [u8],
    objects: Arena<'a>,
    stack: Vec<Handle>,
    /// The height of the stack at each open mark.
    marks: Vec<usize>,
    memo: BTreeMap<usize, Handle>,
}

impl<'a> Machine<'a> {
    /// Runs one instruction; true at the end.
    fn step(&mut self) -> anyhow::Result<bool> {
        match self.byte()? {
            0x80 => ensure!((2..=5).contains(&self.byte()?), "its pickle is of an unknown protocol"),
            0x95 => drop(self.take(8)?), // FRAME: a hint for readers from a pipe
            b'.' => return Ok(true),

            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'q' => self.remember_at(1)?,
            b'r' => self.remember_at(4)?,
            0x94 => self.remember(self.memo.len())?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,

            b'N' | 0x88 | 0x89 => self.push(Object::Other)?, // None, True, False
            b'G' => {
                self.take(8)?;
                self.push(Object::Other)?;
            }
            b'K' => self.push_integer(1)?,
            b'M' => self.push_integer(2)?,
            b'J' => {
                let bytes = self.array()?;
                self.push(Object::Integer(i32::from_le_bytes(bytes).into()))?;
            }
            0x8a => {
                let length = self.unsigned(1)?;
                let integer = signed(self.take(length)?);
                self.push(integer.map_or(Object::Other, Object::Integer))?;
            }
            0x8c => self.push_text(1)?,
            b'X' => self.push_text(4)?,
            0x8d => self.push_text(8)?,
            b'C' => self.push_bytes(1)?,
            b'B' => self.push_bytes(4)?,

            b')' => self.push(Object::Tuple(Vec::new()))?,
            0x85 => self.push_tuple(1)?,
            0x86 => self.push_tuple(2)?,
            0x87 => self.push_tuple(3)?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Object::Tuple(items))?;
            }
            b']' => self.push(Object::List(Vec::new()))?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Object::Dict(Vec::new()))?,
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(&items)?;
            }

            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(global(module, name)?)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (module, name) = (self.objects.text(module)?, self.objects.text(name)?);
                self.push(global(module, name)?)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.objects.storage(id)?;
                self.push(storage)?;
            }
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            other => bail!("its pickle has the instruction {other:#04x}, which a state dict never needs"),
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

    fn push(&mut self, object: Object<'a>) -> anyhow::Result<()> {
        self.stack.push(self.objects.add(object)?);
        Ok(())
    }

    fn push_integer(&mut self, width: usize) -> anyhow::Result<()> {
        let value = self.unsigned(width)?;
        self.push(Object::Integer(i64::try_from(value)?))
    }

    fn push_text(&mut self, width: usize) -> anyhow::Result<()> {
        let length = self.unsigned(width)?;
        let text = std::str::from_utf8(self.take(length)?).context("its pickle has a text that is not UTF-8")?;
        self.push(Object::Text(text))
    }

    fn push_bytes(&mut self, width: usize) -> anyhow::Result<()> {
        let length = self.unsigned(width)?;
        self.take(length)?;
        self.push(Object::Other)
    }

    fn push_tuple(&mut self, length: usize) -> anyhow::Result<()> {
        let mut items = vec![0; length];
        for item in items.iter_mut().rev() {
            *item = self.pop()?;
        }
        self.push(Object::Tuple(items))
    }

    fn pop(&mut self) -> anyhow::Result<Handle> {
        let floor = self.marks.last().copied().unwrap_or(0);
        ensure!(self.stack.len() > floor, "its pickle takes from an empty stack");
        self.stack.pop().context("its pickle takes from an empty stack")
    }

    fn pop_to_mark(&mut self) -> anyhow::Result<Vec<Handle>> {
        let mark = self.marks.pop().context("its pickle lacks a mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> anyhow::Result<Handle> {
        self.stack.last().copied().context("its pickle takes from an empty stack")
    }

    fn remember_at(&mut self, width: usize) -> anyhow::Result<()> {
        let place = self.unsigned(width)?;
        self.remember(place)
    }

    fn remember(&mut self, place: usize) -> anyhow::Result<()> {
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> anyhow::Result<()> {
        let place = self.unsigned(width)?;
        let handle = *self.memo.get(&place).context("its pickle refers to an object that it has not made")?;
        self.stack.push(handle);
        Ok(())
    }

    fn append(&mut self, mut items: Vec<Handle>) -> anyhow::Result<()> {
        let list = self.top()?;
        let Object::List(list) = self.objects.get_mut(list) else { bail!("its pickle appends to what is no list") };
        list.append(&mut items);
        Ok(())
    }

    /// Adds keys and values in turn to the dict on the top.
    fn insert(&mut self, items: &[Handle]) -> anyhow::Result<()> {
        let dict = self.top()?;
        let Object::Dict(dict) = self.objects.get_mut(dict) else { bail!("its pickle inserts into what is no dict") };
        let (pairs, odd) = items.as_chunks::<2>();
        ensure!(odd.is_empty(), "its pickle has a key without a value");
        dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
        Ok(())
    }

    fn reduce(&mut self) -> anyhow::Result<()> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Object::Callable(callable) = *self.objects.get(callable) else {
            bail!("its pickle calls what is no function")
        };
        match (callable, self.objects.tuple(arguments)?) {
            (Callable::OrderedDict, []) => self.push(Object::Dict(Vec::new())),
            // A parameter is the tensor in it.
            (Callable::RebuildParameter, &[tensor, ..]) if matches!(self.objects.get(tensor), Object::Tensor(_)) => {
                self.stack.push(tensor);
                Ok(())
            }
            (Callable::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                let tensor = self.objects.tensor(storage, offset, shape, strides)?;
                self.push(Object::Tensor(tensor))
            }
            _ => bail!("its pickle calls a constructor with arguments that do not fit"),
        }
    }

    /// Attributes are for Python: a state dict carries its `_metadata` so. They are let go.
    fn build(&mut self) -> anyhow::Result<()> {
        self.pop()?;
        let object = self.top()?;
        let known = matches!(self.objects.get(object), Object::Dict(_) | Object::Tensor(_));
        ensure!(known, "its pickle sets attributes of what is neither a dict nor a tensor");
        Ok(())
    }
}

/// A little-endian number in two's complement; `None` past eight bytes.
fn signed(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut value = if negative { [0xFF; 8] } else { [0; 8] };
    value.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(value))
}
