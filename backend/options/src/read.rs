//! Words, by a table.

use southbridge_core::property::parse_value;
use southbridge_core::{PropValue, Properties, Property};

use crate::OptionError;

/// The name that was probably meant.
pub fn nearest(name: &str, all: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    all.map(|n| (strsim::damerau_levenshtein(name, n), n))
        .filter(|(d, n)| *d <= 1 + n.len() / 4)
        .min_by_key(|(d, _)| *d)
        .map(|(_, n)| n)
}

/// The value of an option, as the command line spells it. `name` is the option's name as the user wrote it.
///
/// # Errors
/// When it is not what the option takes.
pub fn value(declared: &Property, name: &str, text: &str) -> Result<PropValue, OptionError> {
    parse_value(declared.kind, text).ok_or_else(|| OptionError::BadValue {
        option: name.to_owned(),
        value: text.to_owned(),
        expected: declared.kind.takes(),
    })
}

/// Fills in the defaults of options that were not given.
pub fn fill<'p>(values: &mut Properties, declared: impl Iterator<Item = &'p Property>) {
    declared.for_each(|p| values.apply_defaults(std::slice::from_ref(p)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use southbridge_core::PropKind;

    const PORT: Property = Property {
        name: "port",
        kind: PropKind::Uint(16),
        default: Some("7"),
        help: "",
    };

    #[test]
    fn words_are_read_and_the_rest_is_filled_in() {
        let mut values = Properties::default();
        fill(&mut values, [PORT].iter());
        assert_eq!(values.uint("port"), 7);
        values.set("port", value(&PORT, "port", "80").unwrap());
        fill(&mut values, [PORT].iter());
        assert_eq!(values.uint("port"), 80);
        let error = value(&PORT, "port", "x").unwrap_err();
        assert_eq!(error.option(), Some("port"));
        assert_eq!(error.to_string(), "port=x: expected a number from 0 to 65535");
    }

    #[test]
    fn only_what_is_near_is_near() {
        let names = || ["socket", "pipe", "null"].into_iter();
        assert_eq!(nearest("sokcet", names()), Some("socket"));
        assert_eq!(nearest("spiceport", names()), None);
    }
}
