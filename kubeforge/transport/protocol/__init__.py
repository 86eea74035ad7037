"""The observe/act protocol: pure functions between the operations' values and bytes for POSIX sh. No I/O."""
