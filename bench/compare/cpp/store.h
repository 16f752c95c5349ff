// Store: a peer of varve, as the works of bench/compare see it. Serve: measures one for whoever reads the answers.
//
// Records are numbered from 0 and appended in order: a key of 8 bytes, the number, and a value of 100 bytes that begins
// with it. Every failure, and every wrong answer, ends the program with status 3.
#ifndef VARVE_BENCH_COMPARE_CPP_STORE_H_
#define VARVE_BENCH_COMPARE_CPP_STORE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace varve::bench {

constexpr int64_t kKeyBytes = 8;
constexpr int64_t kValueBytes = 100;

// A record with its bytes. Keys are in the order of the numbers when they are compared as bytes.
class NumberedRecord {
 public:
  explicit NumberedRecord(int64_t number);
  [[nodiscard]] std::string_view key() const { return {key_.data(), key_.size()}; }
  [[nodiscard]] std::string_view value() const { return {value_.data(), value_.size()}; }

 private:
  std::array<char, kKeyBytes> key_;
  std::array<char, kValueBytes> value_;
};

enum class Durability {
  kProcess,  // survives the death of the process
  kPower,    // synced before the append returns
};

class Store {
 public:
  virtual ~Store() = default;

  // Appends the records first to first + count, all or none.
  virtual void Append(int64_t first, int64_t count) = 0;

  // Finds one by its number, and ends the program where it is not there.
  virtual void Read(int64_t number) = 0;

  // Reads all in order by CheckValue; answers how many there are.
  virtual int64_t Scan() = 0;
};

struct Peer {
  std::string name;
  std::string version;
  std::string process_durability;  // how it is set up for Durability::kProcess, in its own words
  std::string power_durability;
  bool many_writers = false;  // threads append at the same time and share syncs
  std::function<std::unique_ptr<Store>(const std::string& directory, Durability durability)> open;
};

[[noreturn]] void Fail(const std::string& what);

// Ends the program unless these are the key and the value of the record.
void CheckValue(int64_t number, std::string_view key, std::string_view value);

// PEER DIRECTORY [SIZE=NUMBER…]: answers a line for each line, as bench/support/served_program.py tells.
int Serve(int argc, char** argv, const Peer& peer);

}  // namespace varve::bench

#endif  // VARVE_BENCH_COMPARE_CPP_STORE_H_
