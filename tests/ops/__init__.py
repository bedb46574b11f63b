"""One table of operands and oracles (`table`, `windows`), and the promises every op keeps."""
