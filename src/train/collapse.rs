//! Watches SimCLR in training: does the loss learn anything, do the embeddings still differ?

/// How many logged steps in a row must look ill before anything is said: 300 steps at ten steps a line.
const WINDOW: usize = 30;

/// Uniformity is 0 where all embeddings are one and about -3.9 where they fill the sphere. Above this they are nearly all
/// alike.
const ALIKE: f32 = -0.2;

/// A loss above this part of that of chance, log(2N - 1), has learnt nothing.
const CHANCE: f32 = 0.98;

/// What is seen of a run at a logged step.
#[derive(Clone, Copy, Debug)]
pub struct Vitals {
    pub loss: f32,
    pub uniformity: f32,
}

/// One thing that goes wrong with SimCLR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ailment {
    /// All embeddings are nearly the same.
    Collapse,
    /// The embeddings differ, but the two views of an image are no nearer than any other two.
    NothingLearnt,
}

/// The history of a run, as far as its health goes.
#[derive(Debug)]
pub struct CollapseWatch {
    chance: f32,
    history: Vec<Vitals>,
    told: Vec<Ailment>,
}

impl CollapseWatch {
    /// For batches of `batch_size` images.
    pub fn new(batch_size: usize) -> Self {
        Self { chance: (2.0 * batch_size as f32 - 1.0).ln(), history: Vec::new(), told: Vec::new() }
    }

    /// Takes a logged step in; returns what has gone wrong, each ailment once a run, and a line that says it.
    pub fn observe(&mut self, vitals: Vitals) -> Option<(Ailment, String)> {
        self.history.push(vitals);
        let begin = self.history.len().checked_sub(WINDOW)?;
        let recent = &self.history[begin..];
        let all = |ill: &dyn Fn(&Vitals) -> bool| recent.iter().all(ill);
        let ailment = if all(&|vitals| vitals.uniformity > ALIKE) {
            Ailment::Collapse
        } else if all(&|vitals| vitals.loss > CHANCE * self.chance) {
            Ailment::NothingLearnt
        } else {
            return None;
        };
        if self.told.contains(&ailment) {
            return None;
        }
        self.told.push(ailment);
        let line = match ailment {
            Ailment::Collapse => format!(
                "the embeddings have collapsed: all views have nearly the same one (uniformity {:.2}, 0 is one point; \
                 loss {:.2}, chance is {:.2}); lower --lr or --weight-decay, or raise --batch-size",
                vitals.uniformity, vitals.loss, self.chance
            ),
            Ailment::NothingLearnt => format!(
                "nothing is learnt: the loss stays at that of chance ({:.2} of {:.2}); lower --lr or --temperature, or \
                 look at the views",
                vitals.loss, self.chance
            ),
        };
        Some((ailment, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(history: impl Iterator<Item = (f32, f32)>) -> Vec<Ailment> {
        let mut watch = CollapseWatch::new(64);
        history.filter_map(|(loss, uniformity)| watch.observe(Vitals { loss, uniformity })).map(|told| told.0).collect()
    }

    #[test]
    fn a_healthy_run_is_left_in_peace() {
        // begins at chance with embeddings close together, as real runs do, and leaves both
        let healthy = (0..100).map(|i| (4.84 - 0.01 * i as f32, -0.05 - 0.03 * i as f32));
        assert!(watch(healthy).is_empty());
    }

    #[test]
    fn each_ailment_is_told_once() {
        assert_eq!(watch((0..100).map(|_| (4.84, -0.01))), [Ailment::Collapse]);
        assert_eq!(watch((0..100).map(|_| (4.83, -2.0))), [Ailment::NothingLearnt]);
    }
}
