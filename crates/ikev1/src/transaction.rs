//! XAUTH and mode config.
