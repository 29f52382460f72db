//! Why a back end was not opened.

use southbridge_backend_options::{Family, OptionError};

/// How back ends of this family are called.
pub(crate) const FAMILY: &Family = &Family {
    what: "network back end",
    one: "a netdev",
    key: "type",
};

/// Why a back end was not opened.
pub type NetError = OptionError;
