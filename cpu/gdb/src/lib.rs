//! The gdb remote server.
