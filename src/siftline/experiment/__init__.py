"""Where the engine, training and evaluation meet: experiments on judged collections."""
