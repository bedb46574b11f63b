"""The walk over the tape: its promises, its derivatives, and the mistakes that teaching engines make."""
