//! Repetition of a message whose answer we await.
