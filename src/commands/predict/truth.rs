use crate::data::Gallery;
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
}

impl<'a> Truth<'a> {
    /// Classes are matched by their names; where the classifier has none, by their order.
    pub fn new(gallery: &'a Gallery, classifier: &TrainedClassifier) -> Self {
        let known = classifier.class_names();
        let class_of = |(index, name): (usize, &String)| match classifier.has_class_names() {
            true => known.iter().position(|known| known == name),
            false => Some(index).filter(|index| *index < known.len()),
        };
        let class_of = gallery.classes.iter().enumerate().map(class_of).collect();
        Self { gallery, class_of, judged: 0, first: 0, named: 0 }
    }

    /// `best` are the classes that are named of the picture.
    pub fn judge(&mut self, picture: usize, best: &[usize]) {
        let Some(class) = self.gallery.entries[picture].class else { return };
        self.judged += 1;
        if let Some(class) = self.class_of.get(class as usize).copied().flatten() {
            self.first += usize::from(best.first() == Some(&class));
            self.named += usize::from(best.contains(&class));
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
    }
}
