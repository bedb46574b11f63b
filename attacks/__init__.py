"""attacks: adversarial examples, with their whole path shown, on minigrad's tape."""
