//! Whole files in, parameters or problems out.
