// LevelDB: a write, of one record or of a batch of them, is a record of its log.
#include <leveldb/db.h>
#include <leveldb/write_batch.h>

#include <memory>
#include <string>

#include "store.h"

namespace {

using varve::bench::Durability;
using varve::bench::NumberedRecord;

void Must(const leveldb::Status& status) {
  if (!status.ok()) varve::bench::Fail(status.ToString());
}

class LevelDbStore : public varve::bench::Store {
 public:
  LevelDbStore(const std::string& directory, Durability durability) {
    leveldb::Options options;
    options.create_if_missing = true;
    leveldb::DB* db = nullptr;
    Must(leveldb::DB::Open(options, directory, &db));
    db_.reset(db);
    write_options_.sync = durability == Durability::kPower;
  }

  void Append(int64_t first, int64_t count) override {
    leveldb::WriteBatch batch;
    for (int64_t number = first; number < first + count; ++number) {
      const NumberedRecord record(number);
      batch.Put({record.key().data(), record.key().size()}, {record.value().data(), record.value().size()});
    }
    Must(db_->Write(write_options_, &batch));
  }

  void Read(int64_t number) override {
    const NumberedRecord record(number);
    std::string value;
    Must(db_->Get(leveldb::ReadOptions(), {record.key().data(), record.key().size()}, &value));
    varve::bench::CheckValue(number, record.key(), value);
  }

  int64_t Scan() override {
    leveldb::ReadOptions options;
    options.verify_checksums = true;
    const std::unique_ptr<leveldb::Iterator> iterator(db_->NewIterator(options));
    int64_t count = 0;
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next(), ++count) {
      varve::bench::CheckValue(count, iterator->key().ToString(), iterator->value().ToString());
    }
    Must(iterator->status());
    return count;
  }

 private:
  std::unique_ptr<leveldb::DB> db_;
  leveldb::WriteOptions write_options_;
};

}  // namespace

int main(int argc, char** argv) {
  return varve::bench::Serve(
      argc, argv,
      {.name = "LevelDB",
       .version = std::to_string(leveldb::kMajorVersion) + "." + std::to_string(leveldb::kMinorVersion),
       .process_durability = "sync = false",
       .power_durability = "sync = true",
       .many_writers = true,
       .open = [](const std::string& directory, Durability durability) {
         return std::make_unique<LevelDbStore>(directory, durability);
       }});
}
