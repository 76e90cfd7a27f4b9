// A simulated board behind a pseudo-terminal: the bytes that a host writes there go bit by bit to the pin rx of the
// module board_pins (Verilator), and what the pin tx says comes back as bytes.
//
// Usage: board_link CLOCKS_PER_BIT MISMATCH IDLE_BITS [script]
//   MISMATCH   the host's bit time over the board's, 0.98 to 1.02: both sides of the host's serial port are off by it
//   IDLE_BITS  bit times without anything on the lines after which the board is left alone until a byte comes
//
// With "script" there is no terminal: each line of standard input, bytes in hexadecimal, is sent, and what came back
// until the board was left alone is printed in the same form. So nothing depends on how fast the simulation is.
//
// Otherwise prints one line of JSON with the terminal's name, then runs until its standard input ends. The two clocks have
// the ratio 11 : 10, so that their edges meet in every way. On SIGTERM it ends as well.

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fcntl.h>
#include <iostream>
#include <poll.h>
#include <string>
#include <termios.h>
#include <unistd.h>

#include "Vboard_pins.h"
#include "verilated.h"

namespace {

// Half periods in units of simulated time.
constexpr uint64_t kSerialHalf = 11, kCoreHalf = 10;
// Simulated time between two looks at the terminal: about a byte.
constexpr int kBitsPerLook = 10;

struct Board {
    VerilatedContext context;
    Vboard_pins model{&context};
    uint64_t now = 0, serial_edge = kSerialHalf, core_edge = kCoreHalf;

    // On to the next edge of either clock; true if it is a rising one of the serial clock.
    bool step() {
        bool rising = false;
        now = serial_edge < core_edge ? serial_edge : core_edge;
        if (serial_edge == now) {
            model.serial_clk = !model.serial_clk;
            rising = model.serial_clk;
            serial_edge += kSerialHalf;
        }
        if (core_edge == now) {
            model.clk = !model.clk;
            core_edge += kCoreHalf;
        }
        model.eval();
        return rising;
    }
};

// Ten bits of a byte in the host's bit time, which is no whole number of clocks.
struct Sender {
    double bit;
    std::deque<uint8_t> bytes;
    int left = 0;
    uint32_t shift = 0;
    double next = 0;

    bool idle() const { return left == 0 && bytes.empty(); }

    // The level of the line at the time `time`, in clocks.
    int level(double time) {
        if (left == 0) {
            if (bytes.empty()) return 1;
            shift = (static_cast<uint32_t>(bytes.front()) << 1) | 0x200;
            bytes.pop_front();
            left = 10;
            next = time + bit;
        } else if (time >= next) {
            shift >>= 1;
            next += bit;
            if (--left == 0) return level(time);
        }
        return shift & 1;
    }
};

// Samples in the middle of the host's bit time; a byte without a stop bit is dropped, as a serial port does.
struct Receiver {
    double bit;
    bool active = false;
    int index = 0;
    uint32_t byte = 0;
    double next = 0;

    // True if a byte is complete.
    bool take(double time, int level) {
        if (!active) {
            if (level == 0) {
                active = true;
                index = 0;
                byte = 0;
                next = time + 1.5 * bit;
            }
            return false;
        }
        if (time < next) return false;
        next += bit;
        if (index < 8) {
            byte |= static_cast<uint32_t>(level) << index++;
            return false;
        }
        active = false;
        return level == 1;
    }
};

int open_terminal(const char** name) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return -1;
    *name = ptsname(master);
    // Held open, so that the master sees no end of file between two hosts.
    int slave = *name ? open(*name, O_RDWR | O_NOCTTY) : -1;
    termios settings;
    if (slave < 0 || tcgetattr(slave, &settings) != 0) return -1;
    cfmakeraw(&settings);
    if (tcsetattr(slave, TCSANOW, &settings) != 0) return -1;
    return fcntl(master, F_SETFL, O_NONBLOCK) == 0 ? master : -1;
}

// Whatever the host takes no longer is lost, as on a wire.
void give(int master, uint8_t byte) {
    while (write(master, &byte, 1) < 0 && errno == EINTR) {
    }
}

// The board, the line to it and what came back.
struct Link {
    double clocks, idle_bits;
    Board board;
    Sender sender;
    Receiver receiver;
    double time = 0, quiet_since = 0;

    Link(double clocks_per_bit, double mismatch, double idle)
        : clocks(clocks_per_bit), idle_bits(idle), sender{clocks * mismatch}, receiver{clocks * mismatch} {
        board.model.rst = 1;
        board.model.rx = 1;
        for (int edge = 0; edge < 200; ++edge) board.step();
        board.model.rst = 0;
    }

    bool idle() {
        return sender.idle() && !receiver.active && !board.model.busy && time - quiet_since > idle_bits * clocks;
    }

    template <typename Give>
    void run(int bits, Give give) {
        for (const double end = time + bits * clocks; time < end;) {
            if (!board.step()) continue;
            time += 1;
            board.model.rx = sender.level(time);
            if (receiver.take(time, board.model.tx)) give(static_cast<uint8_t>(receiver.byte));
            if (!sender.idle() || receiver.active || board.model.busy) quiet_since = time;
        }
    }
};

int run_script(Link& link) {
    std::string line;
    while (std::getline(std::cin, line)) {
        for (size_t at = 0; at + 1 < line.size(); at += 2)
            link.sender.bytes.push_back(static_cast<uint8_t>(std::stoi(line.substr(at, 2), nullptr, 16)));
        link.quiet_since = link.time;
        while (!link.idle()) link.run(kBitsPerLook, [](uint8_t byte) { std::printf("%02x", byte); });
        std::printf("\n");
        std::fflush(stdout);
    }
    return 0;
}

int run_terminal(Link& link) {
    const char* name = nullptr;
    int master = open_terminal(&name);
    if (master < 0) {
        std::perror("pseudo-terminal");
        return 3;
    }
    std::printf("{\"port\": \"%s\"}\n", name);
    std::fflush(stdout);
    while (true) {
        pollfd wait[2] = {{master, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        if (poll(wait, 2, link.idle() ? -1 : 0) < 0 && errno != EINTR) return 3;
        if (wait[1].revents & (POLLIN | POLLHUP)) {
            char byte;
            if (read(STDIN_FILENO, &byte, 1) <= 0) return 0;
        }
        if ((wait[0].revents & POLLIN) && link.sender.bytes.size() < 4096) {
            uint8_t buffer[1024];
            const ssize_t count = read(master, buffer, sizeof buffer);
            for (ssize_t i = 0; i < count; ++i) link.sender.bytes.push_back(buffer[i]);
        }
        link.run(kBitsPerLook, [master](uint8_t byte) { give(master, byte); });
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4 && !(argc == 5 && std::string(argv[4]) == "script")) {
        std::fprintf(stderr, "usage: board_link CLOCKS_PER_BIT MISMATCH IDLE_BITS [script]\n");
        return 2;
    }
    Link link(std::atof(argv[1]), std::atof(argv[2]), std::atof(argv[3]));
    return argc == 5 ? run_script(link) : run_terminal(link);
}
