use super::*;
use crate::location::{Origin, Source};
use std::sync::Arc;

fn source(index: usize, option: &str, text: &str) -> Arc<Source> {
    Arc::new(Source {
        origin: Origin::Argument(index),
        option: option.into(),
        text: text.into(),
    })
}

#[test]
fn nearest_prefers_the_closest_and_ignores_case_and_underscores() {
    let names = ["pl011", "pl022", "pl061", "ivshmem-flat"];
    assert_eq!(nearest("pl01", names).as_deref(), Some("pl011"));
    assert_eq!(nearest("IVSHMEM_FLAT", names).as_deref(), Some("ivshmem-flat"));
    assert_eq!(nearest("virtio-net", names), None);
    assert_eq!(nearest("", names), None);
}

#[test]
fn a_missing_name_says_the_nearest_on_one_line() {
    let s = source(1, "-device", "pl01,chardev=x");
    let e = OptError::no_such("device type", "pl01", ["pl011", "pl022"], Location::new(&s, 0..4));
    assert_eq!(
        e.render(&Style::one_line("southbridge")),
        "southbridge: -device pl01,chardev=x: no device type 'pl01'; did you mean 'pl011'?"
    );
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let s = source(1, "-device", "a\n\x1b[2Jb");
    let e = OptError::no_such("device type", "a\n\x1b[2Jb", ["x"; 0], Location::argument(&s));
    for multiline in [false, true] {
        let text = e.render(&Style {
            program: "p".into(),
            multiline,
            color: false,
        });
        assert!(!text.contains('\x1b'), "{text}");
        assert!(multiline || text.lines().count() == 1, "{text}");
    }
}

#[test]
fn a_second_place_is_shown_in_both_forms() {
    let first = source(1, "-chardev", "null,id=a");
    let second = source(3, "-chardev", "stdio,id=a");
    let e = OptError::duplicate_id(
        "chardev",
        "a",
        Location::new(&second, 9..10),
        Location::new(&first, 8..9),
    );
    insta::assert_snapshot!("duplicate_one_line", e.render(&Style::one_line("southbridge")));
    let style = Style {
        program: "southbridge".into(),
        multiline: true,
        color: false,
    };
    insta::assert_snapshot!("duplicate_marked", e.render(&style));
}
