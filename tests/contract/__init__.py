"""
What a session store promises, for every backend; the wheel has these tests as
`lashstore.testing.contract._suite`.
"""
