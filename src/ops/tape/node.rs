//! An op in candle's graph as a token.

use super::saved::{Saved, Saves, stand_in};
use super::{TAPE, Tape};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail};
use std::sync::{Arc, Mutex};

/// An op of N arguments, whichever of candle's traits it has.
pub trait Op<const N: usize>: Send + Sync + 'static {
    fn forward(&self, arguments: [(&CpuStorage, &Layout); N]) -> Result<(CpuStorage, Shape)>;
    fn backward(&self, arguments: [&Tensor; N], output: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; N]>;
    fn saved(&self) -> Saved;
}

pub struct One<C>(pub C);
pub struct Two<C>(pub C);
pub struct Three<C>(pub C);

impl<C: CustomOp1 + Saves + Send + Sync + 'static> Op<1> for One<C> {
    fn forward(&self, [(x, lx)]: [(&CpuStorage, &Layout); 1]) -> Result<(CpuStorage, Shape)> {
        self.0.cpu_fwd(x, lx)
    }

    fn backward(&self, [x]: [&Tensor; 1], output: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([self.0.bwd(x, output, gradient)?])
    }

    fn saved(&self) -> Saved {
        self.0.saved()
    }
}

impl<C: CustomOp2 + Saves + Send + Sync + 'static> Op<2> for Two<C> {
    fn forward(&self, [(x, lx), (y, ly)]: [(&CpuStorage, &Layout); 2]) -> Result<(CpuStorage, Shape)> {
        self.0.cpu_fwd(x, lx, y, ly)
    }

    fn backward(&self, [x, y]: [&Tensor; 2], output: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 2]> {
        Ok(self.0.bwd(x, y, output, gradient)?.into())
    }

    fn saved(&self) -> Saved {
        self.0.saved()
    }
}

impl<C: CustomOp3 + Saves + Send + Sync + 'static> Op<3> for Three<C> {
    fn forward(&self, [(x, lx), (y, ly), (z, lz)]: [(&CpuStorage, &Layout); 3]) -> Result<(CpuStorage, Shape)> {
        self.0.cpu_fwd(x, lx, y, ly, z, lz)
    }

    fn backward(&self, [x, y, z]: [&Tensor; 3], output: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 3]> {
        Ok(self.0.bwd(x, y, z, output, gradient)?.into())
    }

    fn saved(&self) -> Saved {
        self.0.saved()
    }
}

/// Another shape of the same values. Its output is made by candle.
pub struct Reshape;

impl Op<1> for Reshape {
    fn forward(&self, _: [(&CpuStorage, &Layout); 1]) -> Result<(CpuStorage, Shape)> {
        bail!("a reshape has nothing to compute")
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(gradient.reshape(x.dims())?)])
    }

    fn saved(&self) -> Saved {
        Saved::Nothing
    }
}

/// Computes an op on tensors of the CPU: its output, which hangs on the token that stands for the op.
pub fn record<const N: usize>(arguments: [&Tensor; N], op: impl Op<N>) -> Result<Tensor>
where
    Node<N>: Tokens<N>,
{
    let guards = arguments.map(|argument| argument.storage_and_layout());
    let mut storages = Vec::with_capacity(N);
    for (storage, layout) in &guards {
        match &**storage {
            Storage::Cpu(storage) => storages.push((storage, *layout)),
            _ => bail!("expected tensors on the CPU"),
        }
    }
    let Ok(storages) = <[_; N]>::try_from(storages) else { bail!("expected {N} arguments") };
    let computed = op.forward(storages)?;
    drop(guards);
    let saves_output = op.saved().output();
    let output = Arc::new(Mutex::new(None));
    let token = token(arguments, op, Arc::clone(&output))?;
    let values = token.apply_op1(Reveal(Mutex::new(Some(computed))))?;
    if let Ok(mut output) = output.lock() {
        // Without its place in the graph: the op must not keep itself alive.
        *output = Some(if saves_output { values.detach() } else { stand_in(&values.detach())? });
    }
    TAPE.with_borrow_mut(|tape| tape.as_mut().map(|tape| tape.tokens.insert(values.id(), token)));
    Ok(values)
}

/// A token for an op whose output is set by the time of its backward pass, or not read there.
pub fn token<const N: usize>(arguments: [&Tensor; N], op: impl Op<N>, output: Output) -> Result<Tensor>
where
    Node<N>: Tokens<N>,
{
    let tokens = TAPE.with_borrow(|tape| {
        arguments.map(|argument| tape.as_ref().and_then(|tape| tape.tokens.get(&argument.id()).cloned()))
    });
    let mut kept = arguments.map(Tensor::clone);
    // Others are variables or in candle's graph.
    let freed = kept.iter_mut().zip(&tokens).filter(|(_, token)| token.is_some() && !op.saved().arguments());
    for (argument, _) in freed {
        *argument = stand_in(argument)?;
    }
    let node = Node { op: Box::new(op), arguments: Mutex::new(Some(kept)), tokens, output };
    node.apply()
}

/// The output of an op, without its place in the graph.
type Output = Arc<Mutex<Option<Tensor>>>;

/// What a token stands for.
pub struct Node<const N: usize> {
    op: Box<dyn Op<N>>,
    /// Until the backward pass.
    arguments: Mutex<Option<[Tensor; N]>>,
    /// The tokens of those arguments that have one.
    tokens: [Option<Tensor>; N],
    /// Until the backward pass.
    output: Output,
}

/// Applying a node to what it depends on in candle's graph.
pub trait Tokens<const N: usize> {
    fn apply(self) -> Result<Tensor>;
}

impl<const N: usize> Node<N> {
    /// What candle sees of the arguments: their tokens, where they have one.
    fn seen(&self) -> Result<[Tensor; N]> {
        let arguments = self.arguments.lock().ok().and_then(|arguments| arguments.clone());
        let Some(arguments) = arguments else { bail!("an op is computed once") };
        Ok(std::array::from_fn(|index| self.tokens[index].as_ref().unwrap_or(&arguments[index]).clone()))
    }

    /// The backward pass. candle gets real gradients for arguments that are its own.
    fn backward(&self, token: &Tensor) -> Result<[Option<Tensor>; N]> {
        let take = |arguments: &Mutex<Option<_>>| arguments.lock().ok().and_then(|mut arguments| arguments.take());
        let Some(arguments) = take(&self.arguments) else { bail!("a graph has one backward pass") };
        let output = self.output.lock().ok().and_then(|mut output| output.take());
        let on_tape = |work: &mut dyn FnMut(&mut Tape) -> Result<()>| {
            TAPE.with_borrow_mut(|tape| match tape {
                Some(tape) => work(tape),
                None => bail!("a training step must run its backward pass itself"),
            })
        };
        let mut gradient = None;
        on_tape(&mut |tape| {
            gradient = tape.gradients.remove(&token.id());
            Ok(())
        })?;
        // None came, so none goes on, but every argument in candle's graph must have one.
        let mut gradients = match gradient {
            Some(gradient) => self.op.backward(arguments.each_ref(), output.as_ref().unwrap_or(token), &gradient)?,
            None => arguments.each_ref().map(|argument| match argument.is_variable() || !argument.track_op() {
                true => None,
                false => argument.zeros_like().ok(),
            }),
        };
        for ((argument, token), gradient) in arguments.iter().zip(&self.tokens).zip(&mut gradients) {
            let Some(given) = gradient.take() else { continue };
            let mut given = Some(given);
            on_tape(&mut |tape| {
                *gradient = match (token, given.take()) {
                    (Some(token), Some(given)) => {
                        tape.give(token, given)?;
                        Some(token.zeros_like()?)
                    }
                    (None, Some(given)) if argument.is_variable() => {
                        tape.give_variable(argument, given)?;
                        None
                    }
                    (_, given) => given,
                };
                Ok(())
            })?;
        }
        Ok(gradients)
    }
}

fn scalar() -> Result<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
}

impl Tokens<1> for Node<1> {
    fn apply(self) -> Result<Tensor> {
        let [x] = self.seen()?;
        x.apply_op1(self)
    }
}

impl Tokens<2> for Node<2> {
    fn apply(self) -> Result<Tensor> {
        let [x, y] = self.seen()?;
        x.apply_op2(&y, self)
    }
}

impl Tokens<3> for Node<3> {
    fn apply(self) -> Result<Tensor> {
        let [x, y, z] = self.seen()?;
        x.apply_op3(&y, &z, self)
    }
}

impl CustomOp1 for Node<1> {
    fn name(&self) -> &'static str {
        "token"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        scalar()
    }

    fn bwd(&self, _: &Tensor, token: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        let [x] = self.backward(token)?;
        Ok(x)
    }
}

impl CustomOp2 for Node<2> {
    fn name(&self) -> &'static str {
        "token"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        scalar()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, token: &Tensor, _: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok(self.backward(token)?.into())
    }
}

impl CustomOp3 for Node<3> {
    fn name(&self) -> &'static str {
        "token"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        scalar()
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        token: &Tensor,
        _: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok(self.backward(token)?.into())
    }
}

/// From a token to the values of its op's output, which are moved out of here.
struct Reveal(Mutex<Option<(CpuStorage, Shape)>>);

impl CustomOp1 for Reveal {
    fn name(&self) -> &'static str {
        "output"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match self.0.lock().ok().and_then(|mut computed| computed.take()) {
            Some(computed) => Ok(computed),
            None => bail!("an op's output is computed once"),
        }
    }

    /// Only candle's own ops ask for this: ours go by the token.
    fn bwd(&self, token: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        TAPE.with_borrow_mut(|tape| match tape {
            Some(tape) => tape.give(token, gradient.clone()),
            None => bail!("a training step must run its backward pass itself"),
        })?;
        Ok(Some(token.zeros_like()?))
    }
}
