// RocksDB with its write-ahead log: a write, of one record or of a batch of them, is a record of that.
#include <rocksdb/db.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>

#include <memory>
#include <string>

#include "store.h"

namespace {

using varve::bench::Durability;
using varve::bench::NumberedRecord;

void Must(const rocksdb::Status& status) {
  if (!status.ok()) varve::bench::Fail(status.ToString());
}

class RocksDbStore : public varve::bench::Store {
 public:
  RocksDbStore(const std::string& directory, Durability durability) {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* db = nullptr;
    Must(rocksdb::DB::Open(options, directory, &db));
    db_.reset(db);
    write_options_.sync = durability == Durability::kPower;
  }

  void Append(int64_t first, int64_t count) override {
    rocksdb::WriteBatch batch;
    for (int64_t number = first; number < first + count; ++number) {
      const NumberedRecord record(number);
      Must(batch.Put(rocksdb::Slice(record.key().data(), record.key().size()),
                     rocksdb::Slice(record.value().data(), record.value().size())));
    }
    Must(db_->Write(write_options_, &batch));
  }

  void Read(int64_t number) override {
    const NumberedRecord record(number);
    rocksdb::PinnableSlice value;
    Must(db_->Get(rocksdb::ReadOptions(), db_->DefaultColumnFamily(),
                  rocksdb::Slice(record.key().data(), record.key().size()), &value));
    varve::bench::CheckValue(number, record.key(), {value.data(), value.size()});
  }

  int64_t Scan() override {
    const std::unique_ptr<rocksdb::Iterator> iterator(db_->NewIterator(rocksdb::ReadOptions()));
    int64_t count = 0;
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next(), ++count) {
      varve::bench::CheckValue(count, {iterator->key().data(), iterator->key().size()},
                               {iterator->value().data(), iterator->value().size()});
    }
    Must(iterator->status());
    return count;
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions write_options_;
};

}  // namespace

int main(int argc, char** argv) {
  return varve::bench::Serve(argc, argv,
                             {.name = "RocksDB",
                              .version = std::to_string(ROCKSDB_MAJOR) + "." + std::to_string(ROCKSDB_MINOR) + "." +
                                         std::to_string(ROCKSDB_PATCH),
                              .process_durability = "write-ahead log, sync = false",
                              .power_durability = "write-ahead log, sync = true",
                              .many_writers = true,
                              .open = [](const std::string& directory, Durability durability) {
                                return std::make_unique<RocksDbStore>(directory, durability);
                              }});
}
