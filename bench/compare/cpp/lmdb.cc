// LMDB: a transaction for each append, at the end of the tree. Nothing has a checksum.
#include <lmdb.h>

#include <memory>
#include <string>

#include "store.h"

namespace {

using varve::bench::Durability;
using varve::bench::NumberedRecord;

constexpr size_t kMapBytes = size_t{64} << 30;

void Must(int error) {
  if (error != 0) varve::bench::Fail(mdb_strerror(error));
}

MDB_val Bytes(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }
std::string_view View(const MDB_val& value) { return {static_cast<const char*>(value.mv_data), value.mv_size}; }

class LmdbStore : public varve::bench::Store {
 public:
  LmdbStore(const std::string& directory, Durability durability) {
    Must(mdb_env_create(&environment_));
    Must(mdb_env_set_mapsize(environment_, kMapBytes));
    const unsigned flags = MDB_NORDAHEAD | (durability == Durability::kPower ? 0U : MDB_NOSYNC | MDB_WRITEMAP);
    Must(mdb_env_open(environment_, directory.c_str(), flags, 0644));
    MDB_txn* transaction = nullptr;
    Must(mdb_txn_begin(environment_, nullptr, 0, &transaction));
    Must(mdb_dbi_open(transaction, nullptr, 0, &table_));
    Must(mdb_txn_commit(transaction));
  }

  ~LmdbStore() override {
    if (reading_ != nullptr) mdb_txn_abort(reading_);
    mdb_env_close(environment_);
  }

  void Append(int64_t first, int64_t count) override {
    MDB_txn* transaction = nullptr;
    Must(mdb_txn_begin(environment_, nullptr, 0, &transaction));
    for (int64_t number = first; number < first + count; ++number) {
      const NumberedRecord record(number);
      MDB_val key = Bytes(record.key());
      MDB_val value = Bytes(record.value());
      Must(mdb_put(transaction, table_, &key, &value, MDB_APPEND));
    }
    Must(mdb_txn_commit(transaction));
  }

  // A reader keeps its transaction's place, as LMDB's documentation advises.
  void Read(int64_t number) override {
    const NumberedRecord record(number);
    MDB_val key = Bytes(record.key());
    MDB_val value = {};
    Renew();
    Must(mdb_get(reading_, table_, &key, &value));
    varve::bench::CheckValue(number, record.key(), View(value));
    mdb_txn_reset(reading_);
  }

  int64_t Scan() override {
    Renew();
    MDB_cursor* cursor = nullptr;
    Must(mdb_cursor_open(reading_, table_, &cursor));
    MDB_val key = {};
    MDB_val value = {};
    int64_t count = 0;
    for (; mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0; ++count) {
      varve::bench::CheckValue(count, View(key), View(value));
    }
    mdb_cursor_close(cursor);
    mdb_txn_reset(reading_);
    return count;
  }

 private:
  void Renew() {
    if (reading_ == nullptr) {
      Must(mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &reading_));
    } else {
      Must(mdb_txn_renew(reading_));
    }
  }

  MDB_env* environment_ = nullptr;
  MDB_dbi table_ = 0;
  MDB_txn* reading_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  return varve::bench::Serve(argc, argv,
                             {.name = "LMDB",
                              .version = MDB_VERSION_STRING,
                              .process_durability = "MDB_NOSYNC, MDB_WRITEMAP",
                              .power_durability = "each commit synced",
                              .open = [](const std::string& directory, Durability durability) {
                                return std::make_unique<LmdbStore>(directory, durability);
                              }});
}
