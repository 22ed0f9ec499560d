"""All SQL of the product. A repository works in the session it is given and never commits."""
