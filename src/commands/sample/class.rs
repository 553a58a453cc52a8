//! What `--class` means to a generator.

use anyhow::bail;

use crate::commands::class_names::listed;
use crate::error::{Error, legible};
use crate::pretrained::SampleClasses;

/// What names every class at once, even where a class is called so: that one has its number.
const ALL: &str = "all";

/// The classes of the samples, `names` being those of the generator: the class of that name or, where none is called so,
/// of that number, from 0 on. [`Error::Usage`] where there is none.
pub fn choose(class: Option<&str>, names: &[String]) -> anyhow::Result<SampleClasses> {
    let classes = names.len();
    let Some(class) = class else { return Ok(SampleClasses::of(classes)) };
    if names.is_empty() {
        bail!(Error::Usage(format!(
            "--class {class}: the generator is not conditional; gan train-gan --conditional trains one that is"
        )));
    }
    if class == ALL {
        return Ok(SampleClasses::Each { classes });
    }
    let by_name = names.iter().position(|name| name == class);
    // As it is written in the message below: `00` and `+1` are names that no class has.
    let by_number = || class.parse().ok().filter(|number: &usize| *number < classes && number.to_string() == class);
    match by_name.or_else(by_number) {
        Some(class) => Ok(SampleClasses::One { class: class as u32, classes }),
        None => {
            let are_numbers = names.iter().enumerate().all(|(number, name)| *name == number.to_string());
            let numbers = if are_numbers { String::new() } else { format!(", or by number 0 to {}", classes - 1) };
            bail!(Error::Usage(format!(
                "--class {}: the generator has no such class\nit has {}{numbers}; {ALL} draws every one",
                if class.is_empty() { "\"\"".into() } else { legible(class) },
                listed(names)
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(class: &str, names: &[&str]) -> Result<SampleClasses, String> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        choose(Some(class), &names).map_err(|error| error.to_string())
    }

    #[test]
    fn classes_are_found_by_name_and_by_number() {
        let one = |class, classes| Ok(SampleClasses::One { class, classes });
        assert_eq!(found("dog", &["cat", "dog"]), one(1, 2));
        assert_eq!(found("0", &["cat", "dog"]), one(0, 2));
        assert_eq!(found("3", &["1", "3", "5"]), one(1, 3), "a name comes before a number");
        assert_eq!(found("1", &["10", "20"]), one(1, 2), "a number that is no name");
        assert_eq!(found("2", &["1", "2", "3"]), one(1, 3));
        assert_eq!(found("all", &["cat", "dog"]), Ok(SampleClasses::Each { classes: 2 }));
        assert_eq!(found("all", &["all", "cat"]), Ok(SampleClasses::Each { classes: 2 }));
        assert_eq!(found("0", &["all", "cat"]), one(0, 2), "the class that is called all");
        assert_eq!(choose(None, &[]).unwrap(), SampleClasses::Unconditional);
        let wrong = [("2", &["cat", "dog"][..]), ("2", &["10", "20"]), ("Dog", &["cat", "dog"]), ("cat", &[])];
        for (class, names) in wrong.into_iter().chain(["00", "+1", "1 "].map(|class| (class, &["cat", "dog"][..]))) {
            assert!(found(class, names).is_err(), "{class} of {names:?}");
        }
        for (class, shown) in [("cow", "cow"), ("-1", "-1"), ("", "\"\"")] {
            assert_eq!(
                found(class, &["cat", "dog"]).unwrap_err(),
                format!(
                    "--class {shown}: the generator has no such class\nit has cat, dog, or by number 0 to 1; all draws \
                     every one"
                )
            );
        }
    }
}
