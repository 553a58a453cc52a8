use crate::data::{Gallery, GalleryEntry};
use crate::error::legible;
use crate::pretrained::TrainedClassifier;
use crate::report::{Console, counted};

/// How often the classifier is right, as far as the folders of the pictures tell their classes.
pub(super) struct Truth<'a> {
    gallery: &'a Gallery,
    /// Of each class of the gallery that of the classifier, if it has it.
    class_of: Vec<Option<usize>>,
    /// Pictures that have a class, ...
    judged: usize,
    /// ... whose class was the first, and was among those named.
    first: usize,
    named: usize,
    /// Of the pictures that lie where the classifier's training images were taken from: how many, and how many were right.
    of_training: (usize, usize),
    is_of_training: Box<dyn Fn(usize) -> bool + 'a>,
}

impl<'a> Truth<'a> {
    /// Classes are matched by their names; where the classifier has none, by their order.
    /// `spec` is what was opened as the gallery.
    pub fn new(gallery: &'a Gallery, spec: &'a str, classifier: &'a TrainedClassifier) -> Self {
        let known = classifier.class_names();
        let class_of = |(index, name): (usize, &String)| match classifier.has_class_names() {
            true => known.iter().position(|known| known == name),
            false => Some(index).filter(|index| *index < known.len()),
        };
        let class_of = gallery.classes.iter().enumerate().map(class_of).collect();
        let trained = classifier.origin().trained_on.as_ref();
        let is_of_training = Box::new(move |picture: usize| {
            let GalleryEntry { path, part, .. } = &gallery.entries[picture];
            trained.is_some_and(|trained| trained.draws_from(spec, path, *part))
        });
        Self { gallery, class_of, judged: 0, first: 0, named: 0, of_training: (0, 0), is_of_training }
    }

    /// `best` are the classes that are named of the picture.
    pub fn judge(&mut self, picture: usize, best: &[usize]) {
        let Some(class) = self.gallery.entries[picture].class else { return };
        self.judged += 1;
        let class = self.class_of.get(class as usize).copied().flatten();
        let is_first = class.is_some() && best.first() == class.as_ref();
        self.first += usize::from(is_first);
        self.named += usize::from(class.is_some_and(|class| best.contains(&class)));
        if (self.is_of_training)(picture) {
            self.of_training.0 += 1;
            self.of_training.1 += usize::from(is_first);
        }
    }

    /// Says how often it was right, if that is known.
    pub fn say(&self, top: usize, console: &Console) {
        if self.judged == 0 {
            return;
        }
        let classes = self.gallery.classes.iter().zip(&self.class_of);
        let mut unknown: Vec<&str> =
            classes.filter(|(_, class)| class.is_none()).map(|(name, _)| name.as_str()).collect();
        if unknown.len() == self.class_of.len() {
            console.note("no class of these pictures has the name of a class of the classifier: no accuracy");
            return;
        }
        if !unknown.is_empty() {
            let count = unknown.len();
            unknown.truncate(5);
            let names = legible(&unknown.join(", "));
            console.warning(&format!("{count} folders that are no classes of the classifier, such as {names}"));
        }
        let percent = |right: usize| format!("{:.1} %", 100.0 * right as f64 / self.judged as f64);
        let of_top = if top > 1 { format!(", top-{top} {}", percent(self.named)) } else { String::new() };
        console.note(&format!(
            "accuracy {}{of_top}: {} of {}",
            percent(self.first),
            self.first,
            counted(self.judged, "picture")
        ));
        let others = self.judged - self.of_training.0;
        match self.of_training {
            (0, _) => {}
            _ if others == 0 => console.warning(
                "the classifier's training images were taken from these pictures: on others it may be right less often",
            ),
            (count, right) => {
                let right = self.first - right;
                let percent = 100.0 * right as f64 / others as f64;
                console.warning(&format!(
                    "the classifier's training images were taken from {count} of these pictures; accuracy on the others \
                     {percent:.1} %: {right} of {others}"
                ));
            }
        }
    }
}
