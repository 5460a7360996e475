"""Early warnings: raised while a block is executed, by change and by time, and what people do."""
