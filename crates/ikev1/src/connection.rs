//! One association as the application knows it, in whatever state it is.
