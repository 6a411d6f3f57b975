-- What is held is little, and each mail is held once: a number is found quicker among them than the name of a press.
DROP INDEX delivery_held;
CREATE INDEX delivery_held ON delivery (edition) WHERE press IS NOT NULL;
