//! Why a back end was not opened.

use southbridge_backend_options::{Family, OptionError};

/// How back ends of this family are called.
pub(crate) const FAMILY: &Family = &Family {
    what: "file system driver",
    one: "an fsdev",
    key: "fsdriver",
};

/// Why a back end was not opened.
pub type FsError = OptionError;
