"""Early exits: heads after applications of a layer, and the promise about their answers."""
