//! What fills containers and makes objects.

use anyhow::{bail, ensure};

use super::Machine;
use crate::checkpoint::objects::{Callable, Object, Value};

impl<'a> Machine<'a> {
    /// Adds to the list on the top what may lead to a tensor, and texts: the keys of storages are such a list.
    pub(super) fn append(&mut self, items: &[Value<'a>]) -> anyhow::Result<()> {
        let list = match self.top()? {
            Value::Object(list) => list,
            Value::Inert | Value::Unknown(_) => return Ok(()),
            _ => bail!("its pickle appends to what is no list"),
        };
        let is_kept = |item: &Value| matches!(item, Value::Object(_) | Value::Text(_));
        self.objects.keep(items.iter().filter(|item| is_kept(item)).count())?;
        let Object::List { length, items: list } = self.objects.get_mut(list) else {
            bail!("its pickle appends to what is no list")
        };
        list.extend((*length..).zip(items.iter().copied()).filter(|(_, item)| is_kept(item)));
        *length = length.saturating_add(items.len());
        Ok(())
    }

    /// Adds keys and values in turn to the dict on the top, of those what may lead to a tensor.
    pub(super) fn insert(&mut self, items: &[Value<'a>]) -> anyhow::Result<()> {
        let (pairs, odd) = items.as_chunks::<2>();
        ensure!(odd.is_empty(), "its pickle has a key without a value");
        let dict = match self.top()? {
            Value::Object(dict) => dict,
            Value::Inert | Value::Unknown(_) => return Ok(()),
            _ => bail!("its pickle inserts into what is no dict"),
        };
        let is_kept = |&&[key, value]: &&[Value; 2]| {
            matches!(key, Value::Text(_) | Value::Integer(_)) && matches!(value, Value::Object(_) | Value::Unknown(_))
        };
        let kept: Vec<_> = pairs.iter().filter(is_kept).map(|&[key, value]| (key, value)).collect();
        self.objects.keep(2 * kept.len())?;
        let Object::Dict(dict) = self.objects.get_mut(dict) else { bail!("its pickle inserts into what is no dict") };
        dict.extend(kept);
        Ok(())
    }

    /// Pushes what a call makes: of what is not known, something unknown.
    pub(super) fn call(&mut self, mut callable: Value<'a>, mut arguments: Value<'a>) -> anyhow::Result<()> {
        if matches!(callable, Value::Callable(Callable::RebuildFromType)) {
            // func, type, arguments, state: a tensor of a class of its own, which is a tensor all the same.
            let Some(&[inner, _, of_inner, ..]) = self.objects.tuple(arguments) else {
                bail!("its pickle calls a constructor with arguments that do not fit")
            };
            (callable, arguments) = (inner, of_inner);
        }
        let callable = match callable {
            Value::Callable(callable) => callable,
            Value::Unknown(unknown) => return self.push(Value::Unknown(unknown)),
            // A class that is known for something else: torch.storage.UntypedStorage(8).
            Value::Element(_) | Value::Inert => return self.push(Value::Inert),
            _ => bail!("its pickle calls what is no function"),
        };
        let misfit = "its pickle calls a constructor with arguments that do not fit";
        match (callable, self.objects.tuple(arguments)) {
            (Callable::OrderedDict | Callable::DefaultDict, _) => self.push_object(Object::Dict(Vec::new())),
            (Callable::Size | Callable::Wrap, Some(&[inner, ..])) => self.push(inner),
            (Callable::Size | Callable::Wrap | Callable::RebuildFromType, _) => self.push(Value::Inert),
            (Callable::RebuildTensor, Some(&[storage, offset, shape, strides, ..])) => {
                self.push_tensor([storage, offset, shape, strides], None)
            }
            (Callable::RebuildTypedTensor, Some(&[storage, offset, shape, strides, _, _, dtype, ..])) => {
                self.push_tensor([storage, offset, shape, strides], Some(dtype))
            }
            (Callable::RebuildTensor | Callable::RebuildTypedTensor, _) => bail!(misfit),
        }
    }

    fn push_tensor(&mut self, view: [Value<'a>; 4], element: Option<Value<'a>>) -> anyhow::Result<()> {
        match self.objects.tensor(view, element)? {
            Ok(tensor) => self.push_object(Object::Tensor(Box::new(tensor))),
            Err(unknown) => self.push(Value::Unknown(unknown)),
        }
    }
}
