//! Keys by the names that QMP has for them (`QKeyCode`), with their numbers elsewhere.
//!
//! Numbers: the event codes of Linux (`input-event-codes.h`), and the one-byte form of PC scan codes (set 1, with bit 7 for those
//! behind an `e0`) that QMP's `number` is.

use serde::{Deserialize, Serialize};

/// A key, as an index into [`KEYS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Key(u8);

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFacts {
    /// Its name in QMP and for `sendkey`.
    pub name: &'static str,
    /// Its event code in Linux; 0 if there is none.
    pub evdev: u16,
    /// Its PC scan code in one byte; 0 if there is none.
    pub number: u8,
}

macro_rules! keys {
    ($($name:literal $evdev:literal $number:literal)*) => {
        /// All keys, in the protocol's order.
        pub static KEYS: &[KeyFacts] = &[
            $(KeyFacts { name: $name, evdev: $evdev, number: $number }),*
        ];
    };
}

#[rustfmt::skip]
keys! {
    "unmapped" 0 0
    "shift" 42 0x2a  "shift_r" 54 0x36  "alt" 56 0x38  "alt_r" 100 0xb8  "ctrl" 29 0x1d  "ctrl_r" 97 0x9d
    "menu" 139 0x9e  "esc" 1 0x01
    "1" 2 0x02  "2" 3 0x03  "3" 4 0x04  "4" 5 0x05  "5" 6 0x06  "6" 7 0x07  "7" 8 0x08  "8" 9 0x09  "9" 10 0x0a  "0" 11 0x0b
    "minus" 12 0x0c  "equal" 13 0x0d  "backspace" 14 0x0e  "tab" 15 0x0f
    "q" 16 0x10  "w" 17 0x11  "e" 18 0x12  "r" 19 0x13  "t" 20 0x14  "y" 21 0x15  "u" 22 0x16  "i" 23 0x17  "o" 24 0x18
    "p" 25 0x19  "bracket_left" 26 0x1a  "bracket_right" 27 0x1b  "ret" 28 0x1c
    "a" 30 0x1e  "s" 31 0x1f  "d" 32 0x20  "f" 33 0x21  "g" 34 0x22  "h" 35 0x23  "j" 36 0x24  "k" 37 0x25  "l" 38 0x26
    "semicolon" 39 0x27  "apostrophe" 40 0x28  "grave_accent" 41 0x29  "backslash" 43 0x2b
    "z" 44 0x2c  "x" 45 0x2d  "c" 46 0x2e  "v" 47 0x2f  "b" 48 0x30  "n" 49 0x31  "m" 50 0x32
    "comma" 51 0x33  "dot" 52 0x34  "slash" 53 0x35  "asterisk" 55 0x37  "spc" 57 0x39  "caps_lock" 58 0x3a
    "f1" 59 0x3b  "f2" 60 0x3c  "f3" 61 0x3d  "f4" 62 0x3e  "f5" 63 0x3f  "f6" 64 0x40  "f7" 65 0x41  "f8" 66 0x42
    "f9" 67 0x43  "f10" 68 0x44
    "num_lock" 69 0x45  "scroll_lock" 70 0x46
    "kp_divide" 98 0xb5  "kp_multiply" 55 0x37  "kp_subtract" 74 0x4a  "kp_add" 78 0x4e  "kp_enter" 96 0x9c
    "kp_decimal" 83 0x53  "sysrq" 99 0x54
    "kp_0" 82 0x52  "kp_1" 79 0x4f  "kp_2" 80 0x50  "kp_3" 81 0x51  "kp_4" 75 0x4b  "kp_5" 76 0x4c  "kp_6" 77 0x4d
    "kp_7" 71 0x47  "kp_8" 72 0x48  "kp_9" 73 0x49
    "less" 86 0x56  "f11" 87 0x57  "f12" 88 0x58  "print" 99 0x54
    "home" 102 0xc7  "pgup" 104 0xc9  "pgdn" 109 0xd1  "end" 107 0xcf
    "left" 105 0xcb  "up" 103 0xc8  "down" 108 0xd0  "right" 106 0xcd  "insert" 110 0xd2  "delete" 111 0xd3
    "stop" 128 0xe8  "again" 129 0x85  "props" 130 0x86  "undo" 131 0x87  "front" 132 0x8c  "copy" 133 0xf8
    "open" 134 0x64  "paste" 135 0x65  "find" 136 0xc1  "cut" 137 0xbc  "lf" 101 0x5b  "help" 138 0xf5
    "meta_l" 125 0xdb  "meta_r" 126 0xdc  "compose" 127 0xdd  "pause" 119 0xc6
    "ro" 89 0x73  "hiragana" 91 0x77  "henkan" 92 0x79  "yen" 124 0x7d  "muhenkan" 94 0x7b  "katakanahiragana" 93 0x70
    "kp_comma" 121 0x7e  "kp_equals" 117 0x59  "power" 116 0xde  "sleep" 142 0xdf  "wake" 143 0xe3
    "audionext" 163 0x99  "audioprev" 165 0x90  "audiostop" 166 0xa4  "audioplay" 164 0xa2  "audiomute" 113 0xa0
    "volumeup" 115 0xb0  "volumedown" 114 0xae  "mediaselect" 226 0xed
    "mail" 155 0xec  "calculator" 140 0xa1  "computer" 157 0xeb
    "ac_home" 172 0xb2  "ac_back" 158 0xea  "ac_forward" 159 0xe9  "ac_refresh" 173 0xe7  "ac_bookmarks" 156 0xe6
    "lang1" 122 0x72  "lang2" 123 0x71
    "f13" 183 0x5d  "f14" 184 0x5e  "f15" 185 0x5f  "f16" 186 0x55  "f17" 187 0x83  "f18" 188 0xf7  "f19" 189 0x84
    "f20" 190 0x5a  "f21" 191 0x74  "f22" 192 0xf9  "f23" 193 0x6d  "f24" 194 0x6f
}

impl Key {
    /// No key in particular.
    pub const UNMAPPED: Self = Self(0);

    /// The key of a name.
    pub fn named(name: &str) -> Option<Self> {
        let i = KEYS.iter().position(|k| k.name == name)?;
        u8::try_from(i).ok().map(Self)
    }

    /// The key of a PC scan code in one byte; [`Key::UNMAPPED`] if no key has it.
    pub fn of_number(number: i64) -> Self {
        // The print key alone sends the second form; with Alt held it is the first.
        const PRINT_ALONE: i64 = 0xb7;
        let number = if number == PRINT_ALONE { 0x54 } else { number };
        let has = |k: &&KeyFacts| k.number != 0 && i64::from(k.number) == number;
        // Two keys share two codes with an older name that the protocol keeps; the name in use is meant.
        let found = KEYS.iter().rfind(has);
        found.and_then(|k| Self::named(k.name)).unwrap_or(Self::UNMAPPED)
    }

    /// What is known of it.
    pub fn facts(self) -> &'static KeyFacts {
        KEYS.get(usize::from(self.0)).unwrap_or(&KEYS[0])
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Its event code in Linux, if it has one.
    pub fn evdev(self) -> Option<u16> {
        Some(self.facts().evdev).filter(|code| *code != 0)
    }

    /// `sysrq` is an old name for `print`, which is what devices get to see.
    pub(crate) fn normal(self) -> Self {
        match self.name() {
            "sysrq" => Self::named("print").unwrap_or(self),
            _ => self,
        }
    }
}

impl TryFrom<u8> for Key {
    type Error = String;

    fn try_from(n: u8) -> Result<Self, String> {
        if usize::from(n) < KEYS.len() {
            Ok(Self(n))
        } else {
            Err(format!("there is no key {n}"))
        }
    }
}

impl From<Key> for u8 {
    fn from(key: Key) -> Self {
        key.0
    }
}

/// The keys of a line such as `ctrl-alt-f1` or `0x1d-0x38-3`: names or numbers with dashes between them, `<` for `less`.
///
/// # Errors
/// The word that is no key.
pub fn parse_keys(text: &str) -> Result<Vec<Key>, &str> {
    text.split('-')
        .map(|word| match word {
            "<" => Key::named("less").ok_or(word),
            _ => match word.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16).map(Key::of_number).map_err(|_| word),
                None => Key::named(word).ok_or(word),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for k in KEYS {
            assert_eq!(Key::named(k.name).map(Key::name), Some(k.name));
        }
        assert_eq!(KEYS.len(), 162, "as many as the protocol has");
    }

    #[test]
    fn numbers() {
        for k in KEYS.iter().filter(|k| !["asterisk", "sysrq"].contains(&k.name)) {
            assert_eq!(Key::of_number(k.number.into()).name(), k.name);
        }
        assert_eq!(Key::of_number(0x37).name(), "kp_multiply");
        assert_eq!(Key::of_number(0xb7).name(), "print");
        for none in [0, 0x5c, 0x80, 0x100, -1, i64::MAX] {
            assert_eq!(Key::of_number(none), Key::UNMAPPED);
        }
    }

    #[test]
    fn lines_of_keys() {
        let names = |text| parse_keys(text).map(|k| k.into_iter().map(Key::name).collect::<Vec<_>>());
        assert_eq!(names("ctrl-alt-f1"), Ok(vec!["ctrl", "alt", "f1"]));
        assert_eq!(names("0x1d-0x38-<"), Ok(vec!["ctrl", "alt", "less"]));
        assert_eq!(names("ctrl-del"), Err("del"));
        assert_eq!(names("a-"), Err(""));
        assert_eq!(names("0xzz"), Err("0xzz"));
    }
}
