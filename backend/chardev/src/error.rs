//! Why a back end was not opened.

use southbridge_backend_options::{Family, OptionError};

/// How back ends of this family are called.
pub(crate) const FAMILY: &Family = &Family {
    what: "chardev back end",
    one: "a chardev",
    key: "backend",
};

/// Why a back end was not opened.
pub type CharError = OptionError;
