"""The functions of `minigrad.functional` and the methods of a Tensor: what they refuse and what they say then."""
