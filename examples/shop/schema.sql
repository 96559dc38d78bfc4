CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price numeric(8, 2) NOT NULL);

INSERT INTO products VALUES (1, 'a pot of tea', 3.50), (2, 'a slice of cake', 4.20), (3, 'a good book', 12.00);

