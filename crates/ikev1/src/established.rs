//! An association whose phase 1 is done.
