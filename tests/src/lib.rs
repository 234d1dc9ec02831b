//! Starts the real server and its peers for the whole-system tests.
