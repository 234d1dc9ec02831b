#![no_main]

strowger_fuzz::target!(sdp);
