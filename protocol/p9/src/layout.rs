//! How fields stand on the wire: little endian, unaligned, texts and data behind their length.

use thiserror::Error;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The bytes end inside a field.
    #[error("the message ends in the middle of a field")]
    Short,
    /// The size in the header is less than a header, or more than there is.
    #[error("the message says it has {size} bytes, and {have} are there")]
    Size {
        /// What the header says.
        size: u32,
        /// What there is.
        have: usize,
    },
    /// More names or qids than a walk may have.
    #[error("a walk over {0} names; at most 16 may be")]
    LongWalk(u16),
    /// No message has this type, or it goes the other way.
    #[error("no message of this direction has type {0}")]
    Type(u8),
}

/// Text on the wire: 16 bits of length, then bytes; by convention UTF-8, which nobody checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text<'a>(pub &'a [u8]);

/// Data on the wire: 32 bits of length, then bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Data<'a>(pub &'a [u8]);

/// Takes fields off bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(*taken)
    }
}

/// Something that stands in a message.
pub(crate) trait Field<'a>: Sized {
    fn get(from: &mut Reader<'a>) -> Result<Self, Malformed>;
    fn put(&self, to: &mut Vec<u8>);
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Field<'_> for $type {
            fn get(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                from.array().map(Self::from_le_bytes)
            }
            fn put(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
number!(u8 u16 u32 u64);

impl<'a> Field<'a> for Text<'a> {
    fn get(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let len = u16::get(from)?;
        from.bytes(len.into()).map(Self)
    }

    /// A text that is too long for its length field is cut: what writes texts is ours, and keeps names far below.
    fn put(&self, to: &mut Vec<u8>) {
        let len = u16::try_from(self.0.len()).unwrap_or(u16::MAX);
        len.put(to);
        to.extend_from_slice(&self.0[..len.into()]);
    }
}

impl<'a> Field<'a> for Data<'a> {
    fn get(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let len = u32::get(from)?;
        let len = usize::try_from(len).map_err(|_| Malformed::Short)?;
        from.bytes(len).map(Self)
    }

    fn put(&self, to: &mut Vec<u8>) {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        len.put(to);
        to.extend_from_slice(self.0);
    }
}

/// A list behind a 16-bit count, as walks have it.
impl<'a, T: Field<'a>> Field<'a> for Vec<T> {
    fn get(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = u16::get(from)?;
        if usize::from(count) > crate::MAX_WALK {
            return Err(Malformed::LongWalk(count));
        }
        (0..count).map(|_| T::get(from)).collect()
    }

    fn put(&self, to: &mut Vec<u8>) {
        u16::try_from(self.len()).unwrap_or(u16::MAX).put(to);
        self.iter().take(u16::MAX.into()).for_each(|item| item.put(to));
    }
}

/// A record whose fields stand one behind the other in the order of declaration.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? { $($(#[$fdoc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name $(<$life>)? {
            $($(#[$fdoc])* pub $field: $type,)*
        }

        record!(@field $name $($life)? ; $($field: $type,)*);
    };
    (@field $name:ident ; $($field:ident: $type:ty,)*) => {
        impl $crate::layout::Field<'_> for $name {
            fn get(from: &mut $crate::layout::Reader<'_>) -> Result<Self, $crate::layout::Malformed> {
                Ok(Self { $($field: $crate::layout::Field::get(from)?,)* })
            }
            fn put(&self, to: &mut Vec<u8>) {
                $($crate::layout::Field::put(&self.$field, to);)*
            }
        }
    };
    (@field $name:ident $life:lifetime ; $($field:ident: $type:ty,)*) => {
        impl<$life> $crate::layout::Field<$life> for $name<$life> {
            fn get(from: &mut $crate::layout::Reader<$life>) -> Result<Self, $crate::layout::Malformed> {
                Ok(Self { $($field: $crate::layout::Field::get(from)?,)* })
            }
            fn put(&self, to: &mut Vec<u8>) {
                $($crate::layout::Field::put(&self.$field, to);)*
            }
        }
    };
}
pub(crate) use record;
