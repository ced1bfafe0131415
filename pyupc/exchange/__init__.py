"""Exchanges by ccxt: candles of the past, prices and candles as they come.

`client` makes ccxt's client and asks it, `answer` judges what comes, `problems` names what fails.
`live` (prices as they come, asynchronous) and `history` (candles of the past, patient) use them.
"""
