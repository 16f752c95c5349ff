// SQLite in WAL mode: a transaction for each append, into a table by number.
#include <sqlite3.h>

#include <memory>
#include <string>

#include "store.h"

namespace {

using varve::bench::Durability;
using varve::bench::NumberedRecord;

class SqliteStore : public varve::bench::Store {
 public:
  SqliteStore(const std::string& directory, Durability durability) {
    Must(sqlite3_open((directory + "/log.db").c_str(), &db_));
    Execute("PRAGMA journal_mode = WAL");
    Execute(durability == Durability::kPower ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    Execute("CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY, key BLOB, value BLOB)");
    insert_ = Prepare("INSERT INTO log VALUES (?, ?, ?)");
    find_ = Prepare("SELECT number, key, value FROM log WHERE number = ?");
    all_ = Prepare("SELECT number, key, value FROM log ORDER BY number");
    begin_ = Prepare("BEGIN");
    commit_ = Prepare("COMMIT");
  }

  ~SqliteStore() override {
    for (sqlite3_stmt* const statement : {insert_, find_, all_, begin_, commit_}) sqlite3_finalize(statement);
    sqlite3_close(db_);
  }

  void Append(int64_t first, int64_t count) override {
    if (count > 1) Run(begin_);
    for (int64_t number = first; number < first + count; ++number) {
      const NumberedRecord record(number);
      Must(sqlite3_bind_int64(insert_, 1, number));
      Must(sqlite3_bind_blob(insert_, 2, record.key().data(), static_cast<int>(record.key().size()), SQLITE_STATIC));
      Must(
          sqlite3_bind_blob(insert_, 3, record.value().data(), static_cast<int>(record.value().size()), SQLITE_STATIC));
      Run(insert_);
    }
    if (count > 1) Run(commit_);
  }

  void Read(int64_t number) override {
    Must(sqlite3_bind_int64(find_, 1, number));
    if (sqlite3_step(find_) != SQLITE_ROW) varve::bench::Fail("a record is missing");
    CheckRow(find_, number);
    Must(sqlite3_reset(find_));
  }

  int64_t Scan() override {
    int64_t count = 0;
    for (; sqlite3_step(all_) == SQLITE_ROW; ++count) CheckRow(all_, count);
    Must(sqlite3_reset(all_));
    return count;
  }

 private:
  void Must(int result) const {
    if (result != SQLITE_OK) varve::bench::Fail(sqlite3_errmsg(db_));
  }

  void Execute(const char* statement) const { Must(sqlite3_exec(db_, statement, nullptr, nullptr, nullptr)); }

  sqlite3_stmt* Prepare(const char* text) const {
    sqlite3_stmt* statement = nullptr;
    Must(sqlite3_prepare_v2(db_, text, -1, &statement, nullptr));
    return statement;
  }

  void Run(sqlite3_stmt* statement) const {
    if (sqlite3_step(statement) != SQLITE_DONE) varve::bench::Fail(sqlite3_errmsg(db_));
    Must(sqlite3_reset(statement));
  }

  static std::string_view Column(sqlite3_stmt* statement, int column) {
    return {static_cast<const char*>(sqlite3_column_blob(statement, column)),
            static_cast<size_t>(sqlite3_column_bytes(statement, column))};
  }

  static void CheckRow(sqlite3_stmt* row, int64_t number) {
    if (sqlite3_column_int64(row, 0) != number) varve::bench::Fail("a record is missing");
    varve::bench::CheckValue(number, Column(row, 1), Column(row, 2));
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  sqlite3_stmt* find_ = nullptr;
  sqlite3_stmt* all_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  return varve::bench::Serve(argc, argv,
                             {.name = "SQLite",
                              .version = sqlite3_libversion(),
                              .process_durability = "WAL mode, synchronous = NORMAL",
                              .power_durability = "WAL mode, synchronous = FULL",
                              .open = [](const std::string& directory, Durability durability) {
                                return std::make_unique<SqliteStore>(directory, durability);
                              }});
}
