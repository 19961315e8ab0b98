"""Rules that compare a final answer with a gold answer. icpo's own, `strict`, works in this order:

1. `tex`: tokens, arguments by TeX's rule, style removed, synonyms merged; the result is one notation.
2. `strict`: the gold's kind. Letters, booleans, words and plain numbers are decided on the text.
3. `equivalence`, in the sandbox: the kinds in turn (interval, matrix, list, equation, value, date, words).
4. Larger answers are compared element by element, each again by kind (`structure`).
5. Values: numbers with units (`quantities`), converted, within the precision that a decimal gold states.
6. Else expressions: parsed by precedence, exact in fractions, equal at several points (`expressions`, `values`).
"""
