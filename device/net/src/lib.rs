//! Network controllers: what the guest sees.
