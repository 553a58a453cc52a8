//! The tensors that a pickle holds at any depth, each under the path of keys that leads to it.

use std::collections::{BTreeMap, VecDeque, btree_map::Entry};
use std::fmt::Display;

use anyhow::{Context, bail};

use crate::checkpoint::objects::{Arena, Handle, Object, StoredTensor, Value};
use crate::checkpoint::pickle::Unpickled;

/// Dicts and lists deeper than this are passed over.
const DEEPEST: usize = 64;
/// What all paths may take beside four times the pickle, in bytes.
const SPARE: usize = 1 << 20;
/// What a path takes in a map beside its text.
const ENTRY: usize = 64;

/// What a pickle holds.
#[derive(Default)]
pub struct Tree<'a, 'b> {
    /// By path: `state_dict.module.0.weight`.
    pub tensors: BTreeMap<String, &'b StoredTensor<'a>>,
    /// What might be a tensor and is not read, and why.
    pub unread: BTreeMap<String, String>,
}

impl<'a, 'b> Tree<'a, 'b> {
    /// Walks dicts, lists and tuples from the root, the outermost first and each once, though it may lie in several places
    /// or within itself.
    ///
    /// # Errors
    /// Where two tensors have the same path, or the paths take far more than the pickle.
    pub fn of(unpickled: &'b Unpickled<'a>, pickle_length: usize) -> anyhow::Result<Self> {
        let objects = &unpickled.objects;
        let mut walk = Walk {
            objects,
            tree: Self::default(),
            seen: vec![false; objects.len()],
            waiting: VecDeque::new(),
            spare: pickle_length.saturating_mul(4).saturating_add(SPARE),
        };
        if let Value::Object(root) = unpickled.root {
            walk.seen[root] = true;
            walk.waiting.push_back((root, String::new(), 0));
        }
        while let Some((handle, prefix, depth)) = walk.waiting.pop_front() {
            match objects.get(handle) {
                Object::Dict(pairs) => {
                    for &(key, value) in pairs {
                        match key {
                            Value::Text(key) => walk.visit(&prefix, key, value, depth)?,
                            Value::Integer(key) => walk.visit(&prefix, key, value, depth)?,
                            _ => {}
                        }
                    }
                }
                Object::List { items, .. } => {
                    items.iter().try_for_each(|&(index, item)| walk.visit(&prefix, index, item, depth))?;
                }
                Object::Tuple(items) => {
                    items.iter().enumerate().try_for_each(|(index, &item)| walk.visit(&prefix, index, item, depth))?;
                }
                Object::Tensor(_) | Object::Storage { .. } => {}
            }
        }
        Ok(walk.tree)
    }
}

struct Walk<'a, 'b> {
    objects: &'b Arena<'a>,
    tree: Tree<'a, 'b>,
    seen: Vec<bool>,
    /// Dicts, lists and tuples with what their items' paths begin with, and how deep they lie.
    waiting: VecDeque<(Handle, String, usize)>,
    /// Bytes that further paths may take.
    spare: usize,
}

impl<'a> Walk<'a, '_> {
    fn visit(&mut self, prefix: &str, key: impl Display, value: Value<'a>, depth: usize) -> anyhow::Result<()> {
        let path = || format!("{prefix}{key}");
        match value {
            Value::Unknown(unknown) => {
                let path = self.paid(path(), ENTRY)?;
                self.tree.unread.insert(path, format!("made by {}", self.objects.name(unknown)));
            }
            Value::Object(handle) => match self.objects.get(handle) {
                Object::Tensor(tensor) => {
                    let path = self.paid(path(), ENTRY)?;
                    if tensor.element.read_as.is_none() {
                        self.tree.unread.insert(path, format!("{} {:?}", tensor.element.name, tensor.shape));
                        return Ok(());
                    }
                    match self.tree.tensors.entry(path) {
                        Entry::Occupied(slot) => bail!("{:?} comes twice in it", slot.key()),
                        Entry::Vacant(slot) => slot.insert(tensor),
                    };
                }
                container if leads_on(container) && depth < DEEPEST && !self.seen[handle] => {
                    self.seen[handle] = true;
                    let path = self.paid(path() + ".", 0)?;
                    self.waiting.push_back((handle, path, depth + 1));
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    /// `path`, with what it and an entry of `more` bytes take counted.
    fn paid(&mut self, path: String, more: usize) -> anyhow::Result<String> {
        let left = self.spare.checked_sub(path.len() + more);
        self.spare = left.context("the names of its tensors take far more than its pickle")?;
        Ok(path)
    }
}

/// Whether an object holds others.
fn leads_on(object: &Object) -> bool {
    let leads = |value: &Value| matches!(value, Value::Object(_) | Value::Unknown(_));
    match object {
        Object::Dict(pairs) => pairs.iter().any(|(_, value)| leads(value)),
        Object::List { items, .. } => items.iter().any(|(_, item)| leads(item)),
        Object::Tuple(items) => items.iter().any(leads),
        Object::Tensor(_) | Object::Storage { .. } => false,
    }
}
