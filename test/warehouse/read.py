"""Read a directory of Parquet files with pyarrow: `schema` prints its columns
and types, `rows` prints its rows as COPY (FORMAT csv, NULL '\\N') reads them."""

import sys

import pyarrow.dataset


def text(value):
    if value is None:
        return '\\N'
    return '"' + str(value).replace('"', '""') + '"'


what, directory = sys.argv[1:]
dataset = pyarrow.dataset.dataset(directory, partitioning='hive')
if what == 'schema':
    for field in dataset.schema:
        print(f'{field.name}: {field.type}')
else:
    for batch in dataset.to_batches():
        for row in batch.to_pylist():
            print(','.join(text(value) for value in row.values()))
